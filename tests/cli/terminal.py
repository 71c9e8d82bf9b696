"""Runs a program on a terminal of its own: waits for texts and types others.

    terminal.py STEPS PROGRAM ARGUMENT...

STEPS is JSON, a list of {"expect": TEXT} and {"type": TEXT}. Each text is looked for behind the one before. What the
program wrote is printed, and its exit code is passed on; 99 means that a text did not come.
"""

import json
import os
import pty
import select
import signal
import sys
import time

# Seconds until a text is given up.
PATIENCE = 300


def read(master):
    try:
        return os.read(master, 65536)
    except OSError:
        # On Linux the end of a terminal is an error.
        return b""


def main():
    steps = json.loads(sys.argv[1])
    child, master = pty.fork()
    if child == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    output = b""
    seen = 0
    missing = None
    for step in steps:
        if "type" in step:
            os.write(master, step["type"].encode())
            continue
        wanted = step["expect"].encode()
        end = time.monotonic() + PATIENCE
        while wanted not in output[seen:]:
            ready, _, _ = select.select([master], [], [], max(0, end - time.monotonic()))
            piece = read(master) if ready else b""
            if piece == b"":
                missing = wanted
                break
            output += piece
        if missing is not None:
            os.kill(child, signal.SIGKILL)
            break
        seen = output.index(wanted, seen) + len(wanted)
    while True:
        piece = read(master)
        if piece == b"":
            break
        output += piece
    _, status = os.waitpid(child, 0)
    sys.stdout.buffer.write(output)
    sys.stdout.flush()
    if missing is not None:
        sys.stderr.write("not seen: %r\n" % missing)
        sys.exit(99)
    sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main()
