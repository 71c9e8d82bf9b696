"""The same measurements as ``interpreter.ts`` with ``jupyter_client`` and ``ipykernel``, written as JSON to the file named.

Run with a Python that has both packages. Every number means the same as its namesake there.
"""

import json
import subprocess
import sys
import threading
import time

from jupyter_client.manager import KernelManager


class Session:
    """A kernel and its client."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def execute(self, code, on_text=None, timeout=120):
        """Runs a cell to its end: until the reply and the idle status have come. Returns the bytes of text."""
        message = self.client.execute(code)
        size = 0
        while True:
            output = self.client.get_iopub_msg(timeout=timeout)
            if output["parent_header"].get("msg_id") != message:
                continue
            if output["msg_type"] == "stream":
                size += len(output["content"]["text"])
                if on_text:
                    on_text(output["content"]["text"])
            elif output["msg_type"] == "status" and output["content"]["execution_state"] == "idle":
                break
        while self.client.get_shell_msg(timeout=timeout)["parent_header"].get("msg_id") != message:
            pass
        return size

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def times(count, call):
    """Durations in milliseconds."""
    found = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return found


def first_print(session):
    latency = []

    def on_text(text):
        if not latency:
            latency.append((time.time() - float(text.split()[0])) * 1000)

    session.execute("import time\nprint(time.time())\ntime.sleep(0.3)", on_text)
    return latency[0]


def throughput(session, code, size):
    """Until everything has arrived: what is written to the descriptor may come after the end of the cell."""
    started = time.perf_counter()
    received = session.execute(code)
    while received < size:
        output = session.client.get_iopub_msg(timeout=20)
        if output["msg_type"] == "stream":
            received += len(output["content"]["text"])
    return size / (time.perf_counter() - started) / 1e6


def interrupt(session, code):
    """From the interrupt to the end of the cell."""
    sent = []

    def send():
        time.sleep(0.1)
        sent.append(time.perf_counter())
        session.manager.interrupt_kernel()

    thread = threading.Thread(target=send)
    thread.start()
    session.execute(code)
    ended = time.perf_counter()
    thread.join()
    return (ended - sent[0]) * 1000


def pss(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no Pss")


def main():
    starts = []

    def start():
        starts.append(Session())

    result = {"session_start_ms": times(5, start)}
    session = starts.pop()
    result["memory_per_session_mb"] = [pss(one.manager.provisioner.pid) for one in starts]
    while starts:
        starts.pop().close()
    for _ in range(50):
        session.execute("1+1")
    result["round_trip_ms"] = times(1000, lambda: session.execute("1+1"))
    result["executes_per_s"] = [1000 / (sum(result["round_trip_ms"]) / 1000)]
    result["first_print_ms"] = [first_print(session) for _ in range(20)]
    result["prints_mb_s"] = [
        throughput(session, "for i in range(50000): print('x' * 99)", 5000000) for _ in range(3)
    ]
    code = "import os\nb = b'y' * (1 << 20)\nfor i in range(20): _ = os.write(1, b)"
    result["os_write_mb_s"] = [throughput(session, code, 20 << 20) for _ in range(3)]
    code = "import subprocess\nsubprocess.run(['head', '-c', '20000000', '/dev/zero']);"
    result["child_mb_s"] = [throughput(session, code, 20000000) for _ in range(3)]
    result["interrupt_loop_ms"] = [interrupt(session, "while True: pass") for _ in range(20)]
    sleep = "import time\ntime.sleep(10)"
    result["interrupt_sleep_ms"] = [interrupt(session, sleep) for _ in range(20)]
    child = "import subprocess\nsubprocess.run(['sleep', '10'])"
    result["interrupt_child_ms"] = [interrupt(session, child) for _ in range(20)]
    sleep = "import asyncio\nawait asyncio.sleep(2)"
    result["interrupt_await_ms"] = [interrupt(session, sleep) for _ in range(3)]
    session.close()
    many = [threading.Thread(target=start) for _ in range(20)]
    started = time.perf_counter()
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    result["many_starts_ms"] = [(time.perf_counter() - started) * 1000]
    if len(starts) != 20:
        raise RuntimeError("only %d of 20 kernels started" % len(starts))
    for one in starts:
        one.close()
    with open(sys.argv[1], "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
