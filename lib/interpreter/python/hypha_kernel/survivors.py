"""Finds processes by the mark of the fork server they stem from (Linux; elsewhere nothing is found).

The mark is the variable ``HYPHA_KERNEL_ID``, ``<process id of the worker>-<random>``. It is in the environment of the
fork server before Python starts, so everything below inherits it, and the system shows it in ``/proc/<pid>/environ``.
A program that wipes its environment is not found: this is for what is left when every process that could have ended
it by its descent has been killed.
"""

import os
import time
from typing import Callable, List, Optional, Set, Tuple

from . import processes

MARK = "HYPHA_KERNEL_ID"

#: Longest time for killing what multiplies (seconds).
_END_TIME = 5.0


def _mark_of(pid: int) -> Optional[str]:
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        # Another user's, or gone.
        return None
    prefix = MARK.encode() + b"="
    for variable in variables:
        if variable.startswith(prefix):
            return variable[len(prefix) :].decode("ascii", "replace")
    return None


def _kin() -> Set[int]:
    """This process and its ancestors: what started it may carry a mark itself."""
    found = {os.getpid()}
    pid = os.getppid()
    while pid > 1 and pid not in found:
        found.add(pid)
        fields = processes.stat_fields(pid)
        if fields is None:
            break
        pid = int(fields[1])
    return found


def _marked(spared: Set[int]) -> List[Tuple[int, str]]:
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    marks = ((pid, _mark_of(pid)) for pid in pids if pid not in spared)
    return [(pid, mark) for pid, mark in marks if mark is not None]


def end(chosen: Callable[[int, str], bool]) -> None:
    """Kills every process whose mark is chosen, until there is none."""
    spared = _kin()
    limit = time.monotonic() + _END_TIME
    while time.monotonic() < limit:
        found = [pid for pid, mark in _marked(spared) if chosen(pid, mark)]
        if not found:
            return
        for pid in found:
            processes.kill(pid)
        time.sleep(0.005)


def end_orphans() -> None:
    """Kills what dead workers have left."""
    end(_is_orphan)


def _is_orphan(pid: int, mark: str) -> bool:
    worker = mark.partition("-")[0]
    if not worker.isdigit():
        return False
    try:
        # In another container the same number is another process.
        if os.readlink("/proc/%d/ns/pid" % pid) != os.readlink("/proc/self/ns/pid"):
            return False
    except OSError:
        return False
    own = processes.stat_fields(pid)
    theirs = processes.stat_fields(int(worker))
    if own is None:
        return False
    # One that began later is not the worker, but has got its number.
    return theirs is None or int(theirs[19]) > int(own[19])
