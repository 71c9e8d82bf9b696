"""Installs the example app on a Hypha server, runs cells in it, and removes it again.

Reads HYPHA_SERVER_URL, HYPHA_WORKSPACE, HYPHA_TOKEN and, optionally, HYPHA_APP_CHANNEL (a conda channel to use
instead of conda-forge). Needs ``pip install hypha-rpc pyyaml``.
"""

import asyncio
import base64
import os
import pathlib
import sys
import time

import yaml
from hypha_rpc import connect_to_server

APP = pathlib.Path(__file__).parent / "plot"
OUTPUT = pathlib.Path(os.environ.get("HYPHA_OUTPUT_DIR", "."))

CELL = """
import time
for n in range(5):
    print("tick", n)
    time.sleep(0.2)
celsius.mean()
"""

PLOT = """
plt.hist(celsius, bins=5)
plt.title("Distribution")
plt.show()
"""

started = time.monotonic()


def say(text):
    print(f"{time.monotonic() - started:6.2f} s  {text}", flush=True)


def read_app():
    manifest = yaml.safe_load((APP / "manifest.yaml").read_text())
    if os.environ.get("HYPHA_APP_CHANNEL"):
        manifest["channels"] = [os.environ["HYPHA_APP_CHANNEL"]]
    # Nothing in this app registers a service, and it may sit idle between two cells.
    manifest["startup_config"] = {"wait_for_service": False, "stop_after_inactive": 0}
    files = [
        {"path": str(path.relative_to(APP)), "content": path.read_text(), "format": "text"}
        for path in sorted(APP.rglob("*"))
        if path.is_file() and path.name != "manifest.yaml"
    ]
    return manifest, files


def show_progress(progress):
    say(f"  · {progress['message']}")


def show_output(output):
    if output["type"] == "stream":
        for line in output["text"].splitlines():
            say(f"  | {line}")


async def main():
    server = await connect_to_server(
        {
            "server_url": os.environ["HYPHA_SERVER_URL"],
            "workspace": os.environ["HYPHA_WORKSPACE"],
            "token": os.environ["HYPHA_TOKEN"],
            "method_timeout": 600,
        }
    )
    apps = await server.get_service("public/server-apps")
    manifest, files = read_app()

    say("Installing the app: its environment is made, and it is started once to try it")
    app = await apps.install(
        manifest=manifest,
        app_id="plot-example",
        files=files,
        overwrite=True,
        timeout=600,
        progress_callback=show_progress,
    )

    say("Starting the app: the environment is there already")
    session = await apps.start(app["id"], timeout=600, progress_callback=show_progress)
    worker = await server.get_service(session["worker_id"])
    try:
        say("What the entry script printed:")
        logs = await apps.get_logs(session["id"], type="stdout")
        for item in logs["items"]:
            for line in item["content"].splitlines():
                say(f"  | {line}")

        say("Running a cell; its output comes while it runs:")
        result = await worker.execute(
            session_id=session["id"], script=CELL, output_callback=show_output
        )
        if result["status"] != "ok":
            sys.exit("\n".join(result["error"]["traceback"]))
        say(f"  = {result['outputs'][-1]['data']['text/plain']}")

        result = await worker.execute(session["id"], PLOT)
        for output in result["outputs"]:
            if output["type"] == "display_data":
                target = OUTPUT / "distribution.png"
                target.write_bytes(base64.b64decode(output["data"]["image/png"]))
                say(f"Plot saved to {target}")
    finally:
        await apps.stop(session["id"])
        await apps.uninstall(app["id"])
        await server.disconnect()
    say("Session stopped, app removed")


asyncio.run(main())
