"""Access to the files of one session for the worker, from a process of its own.

The session's code may change its directory at any moment, also swap a folder for a link while a path is looked up.
So no path is ever given to the system whole: each part is opened by itself, relative to the folder before it, and
links are not followed. What is open stays what it was, whatever happens to its name.

The process is forked for a session whose files are asked for, beside the session's own: it works while a cell runs
and after the session's Python has died, and a slow file system keeps nobody else waiting. Where the kernel has
Landlock, the session's directory is all it can reach.

Requests are frames with an ``op``, answered one after the other, each bounded in what it reads or writes. Failures
are answers too: ``{"error": {"kind", "reason"}}``, with the kinds of ``Refusal``.
"""

import itertools
import os
import select
import signal
import stat
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import capabilities, landlock, processes
from .file_folders import FOLDER_FLAGS, Folder, Refusal, refusal_of, type_of
from .wire import Channel, Header

#: Most bytes of one read or write.
MAX_BYTES = 1024 * 1024
#: Most entries of one page of a listing.
MAX_ENTRIES = 10000
#: Most files that are open at once.
MAX_OPEN = 64

Answer = Tuple[Header, bytes]


class Reading:
    """A file that is being read."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)


class Writing:
    """A file that is being written: under a name of its own until it is complete."""

    def __init__(self, folder: Folder, name: str, mode: Optional[int]) -> None:
        self._folder = folder
        self._name = name
        self._draft = ".writing-%s" % os.urandom(8).hex()
        self.fd = folder.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self._complete = False
        if mode is not None:
            self._take_mode(mode)

    def _take_mode(self, mode: int) -> None:
        try:
            os.fchmod(self.fd, mode & 0o777)
        except OSError:
            # Some file systems have no permissions.
            pass

    def finish(self) -> None:
        """Gives the file its name; what had it before is replaced, a link too."""
        os.rename(self._draft, self._name, src_dir_fd=self._folder.fd, dst_dir_fd=self._folder.fd)
        self._complete = True

    def close(self) -> None:
        """Forgets a file that was not finished."""
        os.close(self.fd)
        try:
            if not self._complete:
                os.unlink(self._draft, dir_fd=self._folder.fd)
        except OSError:
            # The session's code may do with it what it likes.
            pass
        finally:
            os.close(self._folder.fd)


class Appending(Reading):
    """A file that is being extended, in place."""

    def finish(self) -> None:
        """Nothing is left to be done."""


class Walking:
    """A folder with all below it that is being listed, so that its pages need not begin anew."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._items = folder.walk(True)

    def next(self, limit: int) -> List[Dict[str, Any]]:
        """The next items; fewer than asked for at the end."""
        return list(itertools.islice(self._items, limit))

    def close(self) -> None:
        self._items.close()
        self._folder.close()


class FileAccess:
    """The files below one folder."""

    def __init__(self, root: Callable[[], Folder]) -> None:
        self._root = root
        self._open = {}  # type: Dict[int, Any]
        self._next = 1

    def answer(self, request: Header, blob: bytes) -> Answer:
        """Does what a request asks for."""
        try:
            handler = getattr(self, "_op_" + str(request["op"]))  # type: Callable[[Header, bytes], Answer]
            return handler(request, blob)
        except Refusal as refusal:
            return {"error": {"kind": refusal.kind, "reason": refusal.reason}}, b""
        except OSError as error:
            refusal = refusal_of(error)
            return {"error": {"kind": refusal.kind, "reason": refusal.reason}}, b""
        except (ValueError, RecursionError) as error:
            # A name the system has no form for.
            return {"error": {"kind": "refused", "reason": str(error)}}, b""

    def _keep(self, file: Any) -> int:
        if len(self._open) >= MAX_OPEN:
            file.close()
            raise Refusal("failed", "too many files are open")
        handle = self._next
        self._next += 1
        self._open[handle] = file
        return handle

    def _file(self, request: Header) -> Any:
        try:
            return self._open[request["handle"]]
        except KeyError:
            raise Refusal("failed", "it is not open")

    def _op_list(self, request: Header, _blob: bytes) -> Answer:
        offset = request["offset"]
        limit = min(request["limit"], MAX_ENTRIES)
        items = []  # type: List[Dict[str, Any]]
        more = False
        with self._root() as root, root.enter(request["path"]) as folder:
            for index, item in enumerate(folder.walk(request["recursive"])):
                if index < offset:
                    continue
                if len(items) >= limit:
                    more = True
                    break
                items.append(item)
        return {"items": items, "more": more}, b""

    def _op_walk(self, request: Header, _blob: bytes) -> Answer:
        with self._root() as root:
            folder = root.enter(request["path"])
        return {"handle": self._keep(Walking(folder))}, b""

    def _op_next(self, request: Header, _blob: bytes) -> Answer:
        limit = min(request["limit"], MAX_ENTRIES)
        items = self._file(request).next(limit)
        return {"items": items, "more": len(items) == limit}, b""

    def _op_stat(self, request: Header, _blob: bytes) -> Answer:
        path = request["path"]
        with self._root() as root:
            if not path:
                return {"type": "directory"}, b""
            folder, name = root.parent_of(path)
            with folder:
                found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
                return {"type": type_of(found.st_mode), "size": found.st_size}, b""

    def _op_open(self, request: Header, _blob: bytes) -> Answer:
        with self._root() as root:
            folder, name = root.parent_of(request["path"])
            with folder:
                fd = folder.open(name, os.O_RDONLY)
        size = os.fstat(fd).st_size
        return {"handle": self._keep(Reading(fd)), "size": size}, b""

    def _op_read(self, request: Header, _blob: bytes) -> Answer:
        data = os.pread(self._file(request).fd, min(request["length"], MAX_BYTES), request["offset"])
        return {}, data

    def _op_create(self, request: Header, _blob: bytes) -> Answer:
        with self._root() as root:
            folder, name = root.parent_of(request["path"], make=True)
        try:
            if request["append"]:
                fd = folder.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                os.close(folder.fd)
                file = Appending(fd)  # type: Any
            else:
                file = Writing(folder, name, _replaced_mode(folder, name))
        except BaseException:
            os.close(folder.fd)
            raise
        return {"handle": self._keep(file)}, b""

    def _op_write(self, request: Header, blob: bytes) -> Answer:
        fd = self._file(request).fd
        data = memoryview(blob)
        while data:
            data = data[os.write(fd, data) :]
        return {}, b""

    def _op_finish(self, request: Header, _blob: bytes) -> Answer:
        file = self._file(request)
        file.finish()
        return {"size": os.fstat(file.fd).st_size}, b""

    def _op_close(self, request: Header, _blob: bytes) -> Answer:
        file = self._open.pop(request["handle"], None)
        if file is not None:
            file.close()
        return {}, b""

    def _op_remove(self, request: Header, _blob: bytes) -> Answer:
        with self._root() as root:
            folder, name = root.parent_of(request["path"])
            with folder:
                folder.remove(name, request["recursive"])
        return {}, b""


def _replaced_mode(folder: Folder, name: str) -> Optional[int]:
    """The permissions of the file that is going to be replaced; ``None`` when there is none."""
    try:
        mode = os.stat(name, dir_fd=folder.fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise Refusal("refused", "it is a folder")
    return mode if stat.S_ISREG(mode) else None


def open_root(directory: str, name: str) -> Folder:
    """Opens the working directory of a session, which its code may have replaced by something else."""
    with Folder(os.open(directory, FOLDER_FLAGS)) as own:
        return own.enter(name)


def _confine(directory: str) -> None:
    """Leaves this process nothing but one directory, where the kernel can do that."""
    if not landlock.ABI:
        return
    rights = landlock.handled(landlock.ABI)
    ruleset = landlock.Ruleset(rights, landlock.SCOPE_ABSTRACT_SOCKETS | landlock.SCOPE_SIGNALS)
    try:
        ruleset.allow(directory, rights & ~(landlock.MAKE_CHAR | landlock.MAKE_BLOCK | landlock.EXECUTE))
        ruleset.restrict()
        capabilities.give_up()
    finally:
        ruleset.close()


def main(path: str, request: Header, parent: int) -> int:
    """Turns this freshly forked process into one that serves files. Returns the exit code."""
    os.setsid()
    processes.die_with_parent(parent, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    channel = Channel.connect(path, request["token"], "files")
    directory, name = request["directory"], request["folder"]
    if request["confined"]:
        try:
            _confine(directory)
        except OSError:
            # The walk from folder to folder holds by itself.
            pass
    access = FileAccess(lambda: open_root(directory, name))
    poll = select.poll()
    poll.register(channel.sock, select.POLLIN)
    while True:
        poll.poll()
        if not channel.feed():
            return 0
        for header, blob in channel.take():
            answer, data = access.answer(header, blob)
            answer["ack"] = header["ack"]
            channel.send(answer, data)
