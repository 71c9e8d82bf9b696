"""Installs an app's folder on a Hypha server: ``python install.py FOLDER [APP_ID]``.

Reads HYPHA_SERVER_URL, HYPHA_WORKSPACE, HYPHA_TOKEN and, optionally, HYPHA_APP_CHANNEL (a conda channel to use instead
of the manifest's). Needs ``pip install hypha-rpc pyyaml``.
"""

import asyncio
import base64
import os
import sys
from pathlib import Path

import yaml
from hypha_rpc import connect_to_server


def read_app(folder):
    """The manifest and the files of an app, as the app controller takes them."""
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    if os.environ.get("HYPHA_APP_CHANNEL"):
        manifest["channels"] = [os.environ["HYPHA_APP_CHANNEL"]]
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "content": base64.b64encode(path.read_bytes()).decode(),
            "format": "base64",
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.yaml" and "__pycache__" not in path.parts
    ]
    return manifest, files


async def main(folder, app_id):
    manifest, files = read_app(folder)
    async with connect_to_server(
        {
            "server_url": os.environ["HYPHA_SERVER_URL"],
            "workspace": os.environ["HYPHA_WORKSPACE"],
            "token": os.environ["HYPHA_TOKEN"],
            "method_timeout": 600,
        }
    ) as server:
        apps = await server.get_service("public/server-apps")
        app = await apps.install(
            app_id=app_id,
            manifest=manifest,
            files=files,
            overwrite=True,
            timeout=600,
            progress_callback=lambda progress: print("·", progress["message"], flush=True),
        )
        print(f"Installed {app['id']}")


if len(sys.argv) not in (2, 3):
    sys.exit(__doc__.splitlines()[0])
folder = Path(sys.argv[1]).resolve()
asyncio.run(main(folder, sys.argv[2] if len(sys.argv) == 3 else folder.name))
