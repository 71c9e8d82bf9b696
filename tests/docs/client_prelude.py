import asyncio, os
from hypha_rpc import connect_to_server

server = await connect_to_server(
    {
        "server_url": os.environ["DOCS_SERVER"],
        "workspace": os.environ["DOCS_WORKSPACE"],
        "token": os.environ["DOCS_TOKEN"],
        "method_timeout": 300,
    }
)
apps = await server.get_service("public/server-apps")
if os.environ["DOCS_WORKER"]:
    worker = await server.get_service(os.environ["DOCS_WORKER"])
