"""What Linux offers to keep a process tree together; elsewhere these functions do nothing."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent(parent: int, signum: int) -> None:
    """Asks for ``signum`` when the parent process dies; exits when it is dead already."""
    _prctl(_PR_SET_PDEATHSIG, signum)
    if sys.platform.startswith("linux") and os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes orphaned descendants children of this process, so that they cannot escape by ``setsid``."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> List[int]:
    """Process ids of the direct children (Linux; empty elsewhere)."""
    found = []  # type: List[int]
    try:
        for task in os.listdir("/proc/self/task"):
            with open("/proc/self/task/%s/children" % task) as file:
                found += [int(pid) for pid in file.read().split()]
    except OSError:
        pass
    return found


def descendants(pid: int) -> List[int]:
    """Process ids of everything below ``pid`` (Linux; empty elsewhere)."""
    found = []  # type: List[int]
    pending = [pid]
    while pending:
        current = pending.pop()
        try:
            for task in os.listdir("/proc/%d/task" % current):
                with open("/proc/%d/task/%s/children" % (current, task)) as file:
                    below = [int(word) for word in file.read().split()]
                found += below
                pending += below
        except OSError:
            continue
    return found


def kill_group(pid: int, signum: int = signal.SIGKILL) -> None:
    """Signals a process group; a group that is gone is no error."""
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Signals one process; one that is gone is no error."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def end_children(kill_them: Callable[[], None], seconds: float) -> None:
    """Calls ``kill_them`` until no child is left to wait for: what was being forked meanwhile is killed too."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        kill_them()
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def before_programs(action: Callable[[], None]) -> None:
    """Calls ``action`` whenever Python starts a program, so that what was printed comes before its output."""
    for owner, name in (
        (os, "system"),
        (os, "posix_spawn"),
        (os, "posix_spawnp"),
        (subprocess.Popen, "_execute_child"),
    ):
        original = getattr(owner, name, None)
        if original is not None:
            setattr(owner, name, _preceded(original, action))


def _preceded(original: Callable[..., Any], action: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        action()
        return original(*args, **kwargs)

    return call


def signal_name(number: int) -> str:
    """Name of a signal, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def stat_fields(pid: int) -> Optional[List[str]]:
    """``/proc/<pid>/stat`` from the state on: [1] parent, [11:15] times, [19] start; ``None`` without the process."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            # The name, in brackets, may have spaces and brackets of its own.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _memory(pid: int) -> int:
    """Memory of a process (bytes): its share of shared pages, or all its pages where the system does not tell."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def usage(pid: int) -> Optional[Dict[str, Any]]:
    """What a process and everything below it uses (Linux; ``None`` elsewhere)."""
    seconds = 0.0
    memory = count = 0
    ticks = os.sysconf("SC_CLK_TCK")
    for one in [pid] + descendants(pid):
        fields = stat_fields(one)
        if fields is None:
            continue
        try:
            memory += _memory(one)
        except OSError:
            continue
        # Its own time and that of children it has waited for: utime, stime, cutime, cstime.
        seconds += sum(int(field) for field in fields[11:15]) / ticks
        count += 1
    if count == 0:
        return None
    return {"cpu_seconds": round(seconds, 2), "memory_bytes": memory, "processes": count}
