"""Mixed load on a worker, in rounds: a line ``SECONDS`` on standard input starts one, and when everything that it has
started is stopped again, one line of JSON tells what was done. ``$LANES`` is how many things happen at a time.

Whatever differs from what a call has to give ends the program with an error, so that a soak does not measure failures.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter

from hypha_rpc import connect_to_server

ENV = os.environ
done = Counter()


async def connect():
    return await connect_to_server({
        "server_url": ENV["SERVER"], "workspace": ENV["WORKSPACE"], "token": ENV["TOKEN"], "method_timeout": 120})


def config(id, **manifest):
    return {"id": id, "workspace": ENV["WORKSPACE"], "app_id": "none", "manifest": dict(
        {"type": "conda-jupyter-kernel", "dependencies": ["python=3.11"], "channels": [ENV["CHANNEL"]]}, **manifest)}


def check(condition, *facts):
    if not condition:
        raise AssertionError(facts)


def stdout(result):
    return "".join(o["text"] for o in result["outputs"] if o["type"] == "stream" and o["name"] == "stdout")


async def execute(w, id, code, *args, **more):
    done["executes"] += 1
    return await w.execute(id, code, *args, **more)


async def running(w, id, code, **more):
    """A cell that has begun."""
    begun = asyncio.Event()
    call = asyncio.ensure_future(execute(
        w, id, "print('begun', flush=True)\n" + code, output_callback=lambda o: begun.set(), **more))
    await asyncio.wait_for(begun.wait(), 60)
    return call


async def cells(w, id):
    for n in range(5):
        result = await execute(w, id, "x = %d\nx + 1" % n)
        check(result["outputs"][-1]["data"]["text/plain"] == str(n + 1), result)


async def prints(w, id):
    got = []
    result = await execute(w, id, "import sys\nfor n in range(300): print(n)\nprint('e', file=sys.stderr)",
                           output_callback=lambda o: got.append(o["text"]))
    check(stdout(result) == "".join("%d\n" % n for n in range(300)), result)
    check("".join(got).replace("e\n", "") == stdout(result), got)


async def large_output(w, id):
    result = await execute(w, id, "print('x' * 300000)")
    check(len(stdout(result)) == 300001, len(stdout(result)))


async def errors(w, id):
    result = await execute(w, id, "def f(): return 1 / 0\nf()")
    check(result["error"]["ename"] == "ZeroDivisionError", result)
    for call in (w.execute("nobody", "1"), w.execute(id), w.start(config(id)),
                 w.start(config("refused", dependencies=["--help"]))):
        try:
            await call
            check(False, "no error")
        except AssertionError:
            raise
        except Exception:
            done["refusals"] += 1


async def interrupts(w, id):
    call = await running(w, id, random.choice(["while True: pass", "import time; time.sleep(100)",
                                               "import asyncio; await asyncio.sleep(100)"]))
    await w.interrupt(id)
    check((await call)["error"]["ename"] == "KeyboardInterrupt")
    result = await execute(w, id, "import time; time.sleep(100)", {"timeout": 0.2})
    check(result["error"]["ename"] == "TimeoutError", result)


async def callbacks(w, id):
    """Callbacks that fail, that are slow, and that answer."""
    def fails(message):
        raise ValueError("a callback of the client")

    async def slow(message):
        await asyncio.sleep(0.05)

    check((await execute(w, id, "print(1)", output_callback=fails))["status"] == "ok")
    check((await execute(w, id, "for n in range(20): print(n)", output_callback=slow, progress_callback=slow))
          ["status"] == "ok")
    result = await execute(w, id, "input('?')", input_callback=lambda q: "answer")
    check(result["outputs"][-1]["data"]["text/plain"] == "'answer'", result)


async def disconnecting(w, id):
    """A caller that goes away while its cell prints to its callback."""
    other = await connect()
    theirs = await other.get_service("conda-worker")
    call = await running(theirs, id, "import time\nfor n in range(10000): print(n, flush=True); time.sleep(0.01)",
                         config={"timeout": 60})
    await other.disconnect()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    while not (await w.interrupt(id))["interrupted"]:
        await asyncio.sleep(0.05)
    check((await execute(w, id, "1"))["status"] == "ok")
    done["disconnects"] += 1


async def children(w, id):
    """Processes that a session leaves to its worker."""
    code = "import subprocess\nfor _ in range(3): subprocess.Popen(['sleep', '1000'], start_new_session=True)"
    check((await execute(w, id, code))["status"] == "ok")


async def deaths(w, id):
    result = await execute(w, id, "import os; os._exit(3)")
    check(result["error"]["ename"] == "DeadKernelError", result)
    await w.restart(id)
    check((await execute(w, id, "1"))["status"] == "ok")
    done["deaths"] += 1


async def files(w, id):
    await w.write_file(id, "folder/file", "x" * 100000)
    check((await w.read_file(id, "folder/file"))["size"] == 100000)
    check(len((await w.list_files(id, recursive=True))["items"]) == 2)


async def reads(w, id):
    await w.get_logs(id)
    info = await w.get_session_info(id)
    check(info["status"] == "running", info)
    await w.list_sessions()
    await w.get_load()
    await w.complete(id, "import o")


DEEDS = [cells, cells, prints, large_output, errors, interrupts, callbacks, disconnecting, children, deaths, files,
         reads]


async def lane(w, number, until):
    """Sessions, one after the other, with a few deeds each. Every deed is in turn, so that none is missed."""
    turn = random.randrange(len(DEEDS))
    while time.monotonic() < until:
        id = "soak-%d-%s" % (number, os.urandom(4).hex())
        await w.start(config(id))
        done["starts"] += 1
        for _ in range(3):
            await DEEDS[turn % len(DEEDS)](w, id)
            turn += 1
        await w.stop(id)


async def stop_while_busy(w, until):
    """Sessions that are stopped while they start or run."""
    while time.monotonic() < until:
        id = "busy-" + os.urandom(4).hex()
        starting = asyncio.ensure_future(w.start(config(id)))
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.02)
        else:
            await starting
            call = await running(w, id, "while True: pass")
            call.add_done_callback(lambda call: call.exception())
        await w.stop(id)
        await asyncio.gather(starting, return_exceptions=True)
        # A stop that came before the start knew no session.
        await w.stop(id)
        done["stopped while busy"] += 1


async def main():
    server = await connect()
    w = await server.get_service("conda-worker")
    # One session lives from the first round to the last.
    await w.start(config("lasting"))
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line.strip():
            break
        until = time.monotonic() + float(line)
        done.clear()
        lanes = [lane(w, n, until) for n in range(int(ENV["LANES"]))]
        await asyncio.gather(stop_while_busy(w, until), *lanes)
        await cells(w, "lasting")
        await prints(w, "lasting")
        left = [s["session_id"] for s in await w.list_sessions()]
        check(left == [ENV["WORKSPACE"] + "/lasting"], left)
        print("ANSWER", json.dumps(done), flush=True)
    await w.stop("lasting")
    await server.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
