"""Calls workers as a user's program does, and writes what it measures as JSON to ``$RESULT``.

``$MODE`` is ``calls`` (one worker beside the echo, and beside the reference worker when ``$REFERENCE`` is set),
``sessions`` (many sessions of one worker) or ``staging``. Calls that are compared are made in turns, so that what
else the machine does meets both.
"""

import asyncio
import json
import os
import random
import time
import urllib.request

from hypha_rpc import connect_to_server

ENV = os.environ
WORKSPACE = ENV["WORKSPACE"]
WARM_UP = 50


def config(id, **manifest):
    return {"id": id, "workspace": WORKSPACE, "app_id": "none", "manifest": dict(
        {"type": "conda-jupyter-kernel", "dependencies": ["python=3.11"], "channels": [ENV["CHANNEL"]]}, **manifest)}


async def timed(awaitable):
    """Milliseconds."""
    started = time.perf_counter()
    value = await awaitable
    return (time.perf_counter() - started) * 1000, value


def check(result):
    assert result["status"] == "ok" and result["outputs"][0]["data"]["text/plain"] == "2", result
    return result


async def first_chunk(worker, session, text_of):
    """Milliseconds from a print until the client has it, while the cell goes on."""
    arrived = []

    def receive(message):
        arrived.append((time.time(), text_of(message)))

    code = "import time\nprint(time.time(), flush=True)\ntime.sleep(%s)" % ENV.get("CELL", "0.05")
    await worker.execute(session, code, output_callback=receive)
    seen, text = next((at, text) for at, text in arrived if text)
    return (seen - float(text)) * 1000


async def compare(echo, worker, session, count, found):
    """`1+1` and an echo of the same size, in turns."""
    for _ in range(count):
        found["echo_ms"].append((await timed(echo.echo(session(), "1+1")))[0])
        taken, result = await timed(worker.execute(session(), "1+1"))
        check(result)
        found["execute_ms"].append(taken)


async def reference(server, found):
    """The same calls of Hypha's own worker."""
    worker = await server.get_service("reference-worker")
    await worker.start(dict(
        config("bench-reference", dependencies=["ipykernel"], channels=["none"], entry_point="main.py"),
        app_id="bench-app", artifact_id=WORKSPACE + "/bench-app", client_id="bench-reference", token=ENV["TOKEN"],
        server_url=ENV["SERVER"], timeout=120))
    await worker.execute("bench-reference", "1+1")
    found["reference_execute_ms"] = []
    for _ in range(int(ENV["REFERENCE"])):
        taken, result = await timed(worker.execute("bench-reference", "1+1"))
        check(result)
        found["reference_execute_ms"].append(taken)
    found["reference_first_chunk_ms"] = []
    try:
        for _ in range(10):
            found["reference_first_chunk_ms"].append(await first_chunk(
                worker, "bench-reference", lambda m: (m.get("content") or {}).get("text")))
    except Exception as error:
        # Its raw messages hold times, which Hypha's client cannot send.
        found["reference_first_chunk_ms"] = []
        found["reference_first_chunk_error"] = str(error)[:300]
    await worker.stop("bench-reference")


async def calls(server):
    worker = await server.get_service("conda-worker")
    echo = await server.get_service("echo")
    await worker.start(config("bench"))
    result = check(await worker.execute("bench", "1+1"))
    await echo.prepare(result)
    await compare(echo, worker, lambda: "bench", WARM_UP, {"echo_ms": [], "execute_ms": []})
    found = {"echo_ms": [], "execute_ms": [], "first_chunk_ms": []}
    await compare(echo, worker, lambda: "bench", int(ENV["CALLS"]), found)
    for _ in range(int(ENV["CALLS"]) // 5):
        found["first_chunk_ms"].append(await first_chunk(worker, "bench", lambda o: o.get("text")))
    await worker.stop("bench")
    if int(ENV.get("REFERENCE", "0")) > 0:
        await reference(server, found)
    return found


def memory(pid, field):
    """A figure of a process in MB."""
    with open("/proc/%d/smaps_rollup" % pid) as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no " + field)


async def sessions(server):
    worker = await server.get_service("conda-worker")
    echo = await server.get_service("echo")
    pid = int(ENV["WORKER_PID"])
    ids = ["many-0"]
    await worker.start(config(ids[0]))
    await echo.prepare(check(await worker.execute(ids[0], "1+1")))
    found = {"start_ms": []}
    for count in json.loads(ENV["SESSIONS"]):
        while len(ids) < count:
            id = "many-%d" % len(ids)
            found["start_ms"].append((await timed(worker.start(config(id))))[0])
            ids.append(id)
        one = {"echo_ms": [], "execute_ms": []}
        # Every session has run a cell before: the first one in a fresh process touches more memory.
        for id in ids:
            check(await worker.execute(id, "1+1"))
        await compare(echo, worker, lambda: random.choice(ids), int(ENV["CALLS"]), one)
        for name, values in one.items():
            found["%s_%d" % (name, count)] = values
        found["worker_mb_%d" % count] = [memory(pid, "Rss")]
    found["pss_mb"] = [memory((await worker.get_session_info(id))["pid"], "Pss") for id in ids]
    # All of them at once: the queue of each is its own.
    taken, results = await timed(asyncio.gather(*[worker.execute(id, "1+1") for id in ids]))
    found["all_at_once_ms"] = [taken]
    for result in results:
        check(result)
    await asyncio.gather(*[worker.stop(id) for id in ids])
    return found


def seconds_of_staging(items):
    """Between the first message of staging and its last, by the session's log."""
    from datetime import datetime

    times = [datetime.fromisoformat(i["timestamp"].replace("Z", "+00:00")) for i in items
             if i["content"].startswith(("Staging files from", "Staged "))]
    assert len(times) == 2, items
    return (times[1] - times[0]).total_seconds()


async def staging(server):
    """One start for each line of standard input, whose answer is a line with the seconds its staging took."""
    worker = await server.get_service("conda-worker")
    loop = asyncio.get_running_loop()
    number = 0
    while True:
        line = await loop.run_in_executor(None, input_line)
        if not line:
            return {}
        number += 1
        id = "staging-%d" % number
        await worker.start(dict(
            config(id, files_to_stage=[line]), app_id="bench-files", artifact_id=WORKSPACE + "/bench-files",
            token=ENV["TOKEN"], server_url=ENV["SERVER"]))
        logs = await worker.get_logs(id, type="progress")
        count = await worker.execute(id, "import os; sum(len(f) for _, _, f in os.walk('.'))")
        await worker.stop(id)
        print("ANSWER", json.dumps({"seconds": seconds_of_staging(logs["items"]),
                          "files": int(count["outputs"][0]["data"]["text/plain"])}), flush=True)


def input_line():
    import sys

    return sys.stdin.readline().strip()


async def put(manager, artifact, contents):
    """Uploads files straight to the storage."""
    urls = await manager.put_file(artifact, list(contents), use_proxy=False)
    # Without a type they would be sent as forms, which storage takes apart.
    headers = {"content-type": "application/octet-stream"}
    for path, content in contents.items():
        request = urllib.request.Request(urls[path], data=content, method="PUT", headers=headers)
        await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())


async def artifact(server):
    """Makes the artifacts: an app without content, and files to stage."""
    manager = await server.get_service("public/artifact-manager")
    files = {"small/%03d.bin" % number: os.urandom(4096) for number in range(int(ENV["SMALL"]))}
    files["large.bin"] = os.urandom(int(ENV["LARGE"]))
    for alias, contents in (("bench-app", {"main.py": b"pass\n"}), ("bench-files", files)):
        made = await manager.create(alias=alias, type="generic", manifest={"name": alias}, stage=True)
        await put(manager, made.id, contents)
        await manager.commit(made.id)
    return {}


async def main():
    server = await connect_to_server({
        "server_url": ENV["SERVER"], "workspace": WORKSPACE, "token": ENV["TOKEN"], "method_timeout": 600})
    modes = {"calls": calls, "sessions": sessions, "staging": staging, "artifact": artifact}
    found = await modes[ENV["MODE"]](server)
    with open(ENV["RESULT"], "w") as file:
        json.dump(found, file)
    await server.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
