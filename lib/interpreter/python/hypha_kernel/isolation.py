"""Keeps sessions from each other and from the worker, as far as the kernel lets a process without privileges.

A session is restricted by two rulesets, one over the other; what one of them refuses is refused.

- **Hidden**, prepared in the fork server for all sessions: what is the worker's own cannot be read (its cache but
  for this environment, its sockets, its token file), nor block devices.
- **Own**, made by each session: it writes only in its own directory and in temporary space, reads everything but
  the directory that holds the sessions, and signals only what it started.

Landlock allows below paths and knows no exceptions, so "all but X" is everything beside the way from ``/`` to X.
That makes the directories on the way to the sessions, ``/`` among them, impossible to list. A temporary directory
that holds sessions or something hidden is no temporary space; the session's own ``TMPDIR`` always is.

Besides, following a process's traces (``ptrace``, ``/proc/PID/environ``, ``mem``, ``fd``) is refused by the kernel
for processes that are not restricted by the same rulesets; and a session of root gives up the capabilities that
would be ways around all this (``capabilities.py``).
"""

import errno
import os
import stat
import sys
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from . import FOLDER, capabilities, landlock

_READ = landlock.EXECUTE | landlock.READ_FILE | landlock.READ_DIR
#: Nobody needs new device files, and only root could make them.
_ALL = landlock.handled(landlock.ABI) & ~(landlock.MAKE_CHAR | landlock.MAKE_BLOCK)
_USE = landlock.READ_FILE | landlock.READ_DIR | landlock.WRITE_FILE | landlock.TRUNCATE | landlock.IOCTL_DEV

#: Space that everybody may write to, by the file system hierarchy standard and by POSIX shared memory and queues.
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue")

#: Devices that do no harm, and those of accelerators with what connects them.
_DEVICES = (
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "ptmx",
    "pts",
    "dri",
    "kfd",
    "accel",
    "dxg",
    "infiniband",
)
_DEVICE_PREFIXES = ("nvidia", "nvhost", "nvmap", "nvgpu")

#: Where block devices have their files.
_DEVICE_FOLDERS = ("/dev", "/dev/mapper")


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _entries(folder: str) -> "List[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def beside(hidden: Sequence[str], closed: Sequence[str] = ()) -> Tuple[List[str], List[str]]:
    """Paths that together hold everything but the hidden ones, and the directories whose entries they are.

    Of ``closed`` directories on the way nothing is taken. All paths are absolute and without links.
    """
    if not hidden:
        return ["/"], []
    found = []  # type: List[str]
    folders = []  # type: List[str]
    pending = ["/"]
    while pending:
        folder = pending.pop()
        if folder in closed:
            continue
        folders.append(folder)
        for entry in _entries(folder):
            if entry.path in hidden or entry.is_symlink():
                # What a link leads to is allowed or not by itself.
                continue
            if any(_below(path, entry.path) for path in hidden):
                pending.append(entry.path)
            else:
                found.append(entry.path)
    return found, folders


def _block_devices() -> List[str]:
    """Disks that this user could read, and with them every file there is."""
    found = []  # type: List[str]
    for folder in _DEVICE_FOLDERS:
        for entry in _entries(folder):
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except OSError:
                continue
            if stat.S_ISBLK(mode) and os.access(entry.path, os.R_OK):
                found.append(entry.path)
    return found


def _used_devices() -> List[str]:
    return [
        entry.path
        for entry in _entries("/dev")
        if entry.name in _DEVICES or entry.name.startswith(_DEVICE_PREFIXES)
    ]


def _python_paths() -> List[str]:
    """Where this Python lives, and the kernel's own code."""
    paths = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    return sorted({os.path.realpath(path) for path in paths + [os.path.dirname(FOLDER)]})


def _except(paths: Iterable[str], hidden: Sequence[str]) -> List[str]:
    """Paths that hold nothing hidden."""
    return [path for path in paths if not any(_below(one, path) for one in hidden)]


class _Plan:
    """What the sessions of one worker have in common, found out once: to look up paths takes longer than the rest."""

    def __init__(self, sessions: str, hidden: List[str]) -> None:
        sessions = os.path.realpath(sessions)
        hidden = [os.path.realpath(path) for path in hidden] + _block_devices()
        python = _python_paths()
        temporary = [os.path.realpath(path) for path in _TEMPORARY if os.path.isdir(path)]
        beside_hidden, folders = beside(hidden)
        beside_sessions, more = beside([sessions], temporary)
        #: What any session may read of the worker's files and of those beside them.
        self.shown = beside_hidden + _except(python + [sessions], hidden)
        #: What any session may read of what lies beside the sessions.
        self.readable = beside_sessions + _except(python, [sessions])
        self.temporary = _except(temporary, hidden + [sessions])
        self.devices = _used_devices()
        self._seen = [(folder, _changed(folder)) for folder in folders + more]

    def holds(self) -> bool:
        """Whether the directories whose entries matter still have the same."""
        return all(_changed(folder) == when for folder, when in self._seen)

    def hiding(self) -> landlock.Ruleset:
        """The ruleset of what is hidden from all sessions."""
        # Moving and linking between directories is refused by every ruleset that does not allow it.
        ruleset = landlock.Ruleset(landlock.READ_FILE | landlock.REFER)
        ruleset.allow("/", landlock.REFER)
        for path in self.shown:
            ruleset.allow(path, landlock.READ_FILE)
        return ruleset

    def own(self, writable: Iterable[str]) -> landlock.Ruleset:
        """The ruleset of one session."""
        scoped = landlock.SCOPE_ABSTRACT_SOCKETS | landlock.SCOPE_SIGNALS
        ruleset = landlock.Ruleset(landlock.handled(landlock.ABI), scoped)
        for path in self.readable:
            ruleset.allow(path, _READ)
        for path in self.devices:
            ruleset.allow(path, _USE)
        for path in self.temporary:
            ruleset.allow(path, _ALL)
        for path in writable:
            ruleset.allow(os.path.realpath(path), _ALL)
        return ruleset


class Isolation:
    """What is prepared in the fork server for the sessions of one worker, and what one of them has entered."""

    def __init__(self) -> None:
        self._plan = None  # type: Optional[_Plan]
        self._hiding = None  # type: Optional[landlock.Ruleset]
        self._made_for = None  # type: Any
        #: Why sessions cannot be restricted.
        self.reason = landlock.REASON
        #: Whether this process is restricted.
        self.active = False

    def prepare(self, policy: Optional[Dict[str, Any]]) -> None:
        """Makes what sessions have in common, and again when other files are there now. Never raises."""
        if policy is None or not landlock.ABI:
            return
        made_for = (policy["sessions"], policy["hidden"])
        if self._plan is not None and made_for == self._made_for and self._plan.holds():
            return
        self._discard()
        try:
            plan = _Plan(*made_for)
            self._hiding = plan.hiding()
        except OSError as error:
            self.reason = "Landlock cannot be used: %s" % error.strerror
            return
        self._plan = plan
        self._made_for = made_for

    def _discard(self) -> None:
        self._plan = None
        if self._hiding is not None:
            self._hiding.close()
            self._hiding = None

    def enter(self, policy: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        """Restricts this process, a session, as the policy says; without one nothing happens.

        ``policy`` names the directory of all ``sessions``, the paths this one may write to (``writable``), and
        those that are ``hidden``. Returns what became of it: whether it is ``restricted``, and if not, why.
        """
        try:
            if policy is not None and self._plan is not None and self._hiding is not None:
                own = self._plan.own(policy["writable"])
                try:
                    self._hiding.restrict()
                    own.restrict()
                    capabilities.give_up()
                    self.active = True
                finally:
                    own.close()
        except OSError as error:
            self.reason = "the kernel refused it: %s" % error.strerror
        finally:
            # Rules could be added to it as long as it is open.
            self._discard()
        return {
            "landlock_abi": landlock.ABI,
            "restricted": self.active,
            "signals_scoped": self.active and landlock.scopes(landlock.ABI) != 0,
            "reason": None if self.active or policy is None else self.reason,
        }

    def explain(self, error: BaseException) -> None:
        """Adds to an error that comes of the isolation: the permissions of the files themselves allow the access."""
        if not self.active or not isinstance(error, PermissionError) or error.errno != errno.EACCES:
            return
        path = error.filename
        if not isinstance(path, (str, bytes)):
            return
        folder = os.path.dirname(os.path.abspath(path))
        # access(2) asks for the permissions only, not for the rules of this session.
        if os.access(folder, os.W_OK | os.X_OK) and (
            not os.path.lexists(path) or os.access(path, os.R_OK | os.W_OK)
        ):
            error.strerror = (
                "Permission denied by the session's isolation, which keeps it from the files of others and "
                "lets it write only in its own directory and in temporary space"
            )


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


#: The isolation of this process: what the fork server prepares, and what a session has entered.
current = Isolation()
