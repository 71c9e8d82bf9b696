"""The keeper: parent of the fork server, with nothing to do but to outlive it and to leave nothing behind.

When the fork server dies, however suddenly, the kernel kills its sessions, and what they had moved into sessions of
its own (daemons) falls to the keeper, which kills it and tells how the fork server ended. When the keeper dies, the
fork server ends itself and everything below it. When both are killed at once, only daemons are left; they carry the
mark of their fork server in their environment (``survivors.py``), by which the worker has them found, or the keeper
of a later fork server when the worker has died too.
"""

import os
import signal
from types import FrameType
from typing import Optional

from . import processes, survivors

#: Time the fork server has to end its sessions when it is asked to (seconds).
_PATIENCE = 5
#: Longest wait for killed processes to be gone (seconds).
_END_TIME = 5.0


def keep(server: int, parent: int, tell: int) -> int:
    """Waits for the end of the fork server and ends what is left of it. Returns the exit code to pass on.

    Closes the descriptor ``tell`` when it is ready: the fork server starts nothing before.
    """
    processes.die_with_parent(parent, signal.SIGTERM)
    processes.adopt_orphans()

    def forward(_signum: int, _frame: Optional[FrameType]) -> None:
        processes.kill(server, signal.SIGTERM)
        signal.alarm(_PATIENCE)

    # Ctrl-C is meant for the worker, which ends its fork servers in its own time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda signum, frame: processes.kill(server))
    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGHUP, forward)
    os.close(tell)
    survivors.end_orphans()
    pid = 0
    while pid != server:
        pid, status = os.waitpid(-1, 0)
    signal.alarm(0)
    code = os.WEXITSTATUS(status)
    if os.WIFSIGNALED(status):
        name = processes.signal_name(os.WTERMSIG(status))
        code = 128 + os.WTERMSIG(status)
        _say("The fork server was ended by %s\n" % name)
    _end_all()
    return code


def _say(text: str) -> None:
    try:
        os.write(2, text.encode())
    except OSError:
        # Nobody listens any more: the worker has died too.
        pass


def _end_all() -> None:
    """Kills everything below this process and waits until it is gone."""
    def kill_below() -> None:
        for pid in processes.descendants(os.getpid()):
            processes.kill(pid)

    processes.end_children(kill_below, _END_TIME)


def sweep(mark: str) -> None:
    """Ends everything that carries a mark."""
    survivors.end(lambda _pid, other: other == mark)
