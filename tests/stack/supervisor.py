"""Runs servers that must not outlive the test that started them.

    python supervisor.py COMMANDS

COMMANDS is JSON: a list of {"argv": [...], "env": {...}, "cwd": "...", "log": "..."}. All are started in
sessions of their own. When standard input ends - the test closes it, or is killed and the kernel does -
or SIGTERM comes, every one of them is killed with its whole process group, and this process exits. It exits
as well when one of them ends, after killing the others. Should this process itself be killed, the kernel
takes its children along (PR_SET_PDEATHSIG).
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import List

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In the child, before exec: asks for a SIGKILL when the parent goes."""
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_all(children: "List[subprocess.Popen[bytes]]") -> None:
    """Kills the groups, then whatever of them was handed to this process, and collects them."""
    for child in children:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.waitpid(-1, os.WNOHANG) == (0, 0) and time.sleep(0.01)
        except ChildProcessError:
            return


def main() -> int:
    """Starts the commands and waits for the end of the test."""
    # Grandchildren that lose their parent come here instead of escaping to init.
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    children = []
    for command in json.loads(sys.argv[1]):
        with open(command["log"], "ab") as log:
            children.append(
                subprocess.Popen(
                    command["argv"], env=command["env"], cwd=command["cwd"], stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent,
                )
            )
    code = 0
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if 0 in ready and os.read(0, 4096) == b"":
            break
        if wake in ready:
            numbers = os.read(wake, 64)
            if any(number != signal.SIGCHLD for number in numbers):
                break
            ended = [child for child in children if child.poll() is not None]
            if ended:
                sys.stdout.write(f"{ended[0].args[0]} ended with {ended[0].returncode}\n")
                code = 1
                break
    kill_all(children)
    return code


if __name__ == "__main__":
    sys.exit(main())
