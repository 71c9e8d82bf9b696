"""Calls the model of examples/model-service, which is started by the call when it does not run.

Reads HYPHA_SERVER_URL, HYPHA_WORKSPACE and HYPHA_TOKEN. Needs ``pip install hypha-rpc``.
"""

import asyncio
import os

from hypha_rpc import connect_to_server

CELLS = [
    {"area": 60, "roundness": 0.95},
    {"area": 90, "roundness": 0.6},
    {"area": 12, "roundness": 0.8},
]


async def main():
    async with connect_to_server(
        {
            "server_url": os.environ["HYPHA_SERVER_URL"],
            "workspace": os.environ["HYPHA_WORKSPACE"],
            "token": os.environ["HYPHA_TOKEN"],
        }
    ) as server:
        # "service@app": the app is started first when it does not run, which takes a while the first time.
        model = await server.get_service("default@model-service", {"timeout": 300})
        print((await model.describe())["classes"])
        for cell, found in zip(CELLS, await model.predict(CELLS)):
            shape = f"{cell['area']:>4} µm², roundness {cell['roundness']}"
            print(f"{shape}: {found['label']} ({found['probability']:.0%})")


asyncio.run(main())
