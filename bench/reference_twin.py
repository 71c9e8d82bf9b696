"""The same measurements with the kernel of Hypha's own conda worker, written as JSON to the file named.

Run with a Python that has ``jupyter_client``: ``reference_twin.py RESULT ENVIRONMENT HYPHA``. The environment has
``ipykernel``; the kernel class is read from the installation of ``hypha``, whose other requirements it does not need.
Its worker executes with this class, so everything here comes on top of the call to the worker.
"""

import asyncio
import glob
import importlib.util
import json
import sys
import time


def kernel_class(hypha):
    (path,) = glob.glob(hypha + "/lib/python*/site-packages/hypha/workers/conda_kernel.py")
    spec = importlib.util.spec_from_file_location("conda_kernel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CondaKernel


async def times(count, call):
    """Durations in milliseconds."""
    found = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        found.append((time.perf_counter() - started) * 1000)
    return found


async def first_print(kernel):
    latency = []

    async def on_output(message):
        if message["msg_type"] == "stream" and not latency:
            latency.append((time.time() - float(message["content"]["text"].split()[0])) * 1000)

    await kernel.execute("import time\nprint(time.time())\ntime.sleep(0.3)", output_callback=on_output)
    return latency[0]


async def throughput(kernel, code, size):
    """Nothing when not everything has arrived in the time the kernel class gives a cell."""
    started = time.perf_counter()
    result = await kernel.execute(code, timeout=20)
    received = sum(len(one["text"]) for one in result["outputs"] if one["type"] == "stream")
    return [] if received < size else [size / (time.perf_counter() - started) / 1e6]


async def interrupt(kernel, code):
    """From the interrupt to the end of the cell."""
    running = asyncio.ensure_future(kernel.execute(code))
    await asyncio.sleep(0.3)
    sent = time.perf_counter()
    await kernel.interrupt()
    await running
    return (time.perf_counter() - sent) * 1000


def pss(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no Pss")


async def main():
    target, environment, hypha = sys.argv[1:]
    create = kernel_class(hypha)
    started = []

    async def start():
        kernel = create(environment)
        await kernel.start(timeout=120)
        started.append(kernel)

    async def stop_all():
        while started:
            await started.pop().stop()

    result = {"session_start_ms": await times(5, start)}
    pids = [one.kernel_manager.provisioner.pid for one in started]
    result["memory_per_session_mb"] = [pss(pid) for pid in pids]
    kernel = started.pop()
    await stop_all()
    await kernel.execute("1+1")
    result["round_trip_ms"] = await times(50, lambda: kernel.execute("1+1"))
    result["executes_per_s"] = [50 / (sum(result["round_trip_ms"]) / 1000)]
    result["first_print_ms"] = [await first_print(kernel) for _ in range(10)]
    prints = "for i in range(20000): print('x' * 99)"
    result["prints_mb_s"] = await throughput(kernel, prints, 2000000)
    write = "import os\nb = b'y' * (1 << 20)\nfor i in range(4): _ = os.write(1, b)"
    result["os_write_mb_s"] = await throughput(kernel, write, 4 << 20)
    child = "import subprocess\nsubprocess.run(['head', '-c', '4000000', '/dev/zero']);"
    result["child_mb_s"] = await throughput(kernel, child, 4000000)
    for name, code, count in (
        ("loop", "while True: pass", 10),
        ("sleep", "import time\ntime.sleep(10)", 10),
        ("child", "import subprocess\nsubprocess.run(['sleep', '10'])", 10),
        ("await", "import asyncio\nawait asyncio.sleep(2)", 3),
    ):
        result["interrupt_%s_ms" % name] = [await interrupt(kernel, code) for _ in range(count)]
    await kernel.stop()
    begun = time.perf_counter()
    await asyncio.gather(*[start() for _ in range(20)])
    result["many_starts_ms"] = [(time.perf_counter() - begun) * 1000]
    await stop_all()
    with open(target, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    asyncio.run(main())
