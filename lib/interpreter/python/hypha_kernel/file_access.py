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

import errno
import itertools
import os
import select
import signal
import stat
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import capabilities, landlock, processes
from .wire import Channel, Header

#: Most bytes of one read or write.
MAX_BYTES = 1024 * 1024
#: Most entries of one page of a listing.
MAX_ENTRIES = 10000
#: Most entries of one folder that are looked at: their names are held in memory.
MAX_FOLDER = 1000000
#: Deepest folder that is entered: each level holds a descriptor.
MAX_DEPTH = 100
#: Most files that are open at once.
MAX_OPEN = 64

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A pipe or a device must not make anybody wait, nor become the controlling terminal.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Answer = Tuple[Header, bytes]


class Refusal(Exception):
    """An answer that says why not. Kinds: ``missing``, ``refused``, ``full``, ``failed``."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def _refusal(error: OSError) -> Refusal:
    if error.errno == errno.ENOENT:
        return Refusal("missing", "it does not exist")
    if error.errno == errno.ENOTDIR:
        return Refusal("refused", "a part of its path is not a folder")
    if error.errno == errno.EISDIR:
        return Refusal("refused", "it is a folder")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refusal("refused", "its permissions do not allow it")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal("full", error.strerror)
    if error.errno == errno.ENOTEMPTY:
        return Refusal("refused", "it is a folder that is not empty")
    return Refusal("failed", error.strerror or str(error))


def _type(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _shown(name: str) -> str:
    """A name as text: bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def _explain(error: OSError, name: str, folder: int) -> Refusal:
    """Why something could not be opened, which the system says in few words."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            target = _shown(os.readlink(name, dir_fd=folder))
            return Refusal("refused", 'it is a link to "%s", and links are not followed' % target)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            return Refusal("refused", "it is not a regular file")
    except OSError:
        pass
    return _refusal(error)


class Folder:
    """A folder that is open. Paths below it have ``/`` between their parts; the empty one is the folder itself."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_details: object) -> None:
        os.close(self.fd)

    def enter(self, path: str, make: bool = False) -> "Folder":
        """Opens a folder below this one, and makes what is missing of it when asked to."""
        fd = os.dup(self.fd)
        try:
            for name in path.split("/") if path else ():
                _check_name(name)
                if make:
                    try:
                        os.mkdir(name, 0o777, dir_fd=fd)
                    except FileExistsError:
                        pass
                try:
                    below = os.open(name, _FOLDER, dir_fd=fd)
                except OSError as error:
                    raise _explain(error, name, fd)
                os.close(fd)
                fd = below
        except BaseException:
            os.close(fd)
            raise
        return Folder(fd)

    def parent_of(self, path: str, make: bool = False) -> "Tuple[Folder, str]":
        """The folder that holds a path, and its name there."""
        folder, _, name = path.rpartition("/")
        _check_name(name)
        return self.enter(folder, make), name

    def open(self, name: str, flags: int) -> int:
        """Opens a regular file of this folder."""
        try:
            fd = os.open(name, flags | _FILE, 0o666, dir_fd=self.fd)
        except OSError as error:
            raise _explain(error, name, self.fd)
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return fd
        os.close(fd)
        raise Refusal("refused", "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")

    def names(self) -> List[str]:
        """Names of the entries, in order."""
        with os.scandir(self.fd) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, MAX_FOLDER))

    def walk(self, recursive: bool, prefix: str = "", depth: int = 1) -> "Iterator[Dict[str, Any]]":
        """Entries of this folder, and when asked of those below, each after its folder."""
        for name in self.names():
            try:
                found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except OSError:
                # Gone meanwhile.
                continue
            path = prefix + _shown(name)
            kind = _type(found.st_mode)
            item = {"path": path, "type": kind, "modified": found.st_mtime}  # type: Dict[str, Any]
            if kind == "file":
                item["size"] = found.st_size
            if kind == "link":
                item["target"] = self._target(name)
            yield item
            if recursive and kind == "directory" and depth < MAX_DEPTH:
                try:
                    below = Folder(os.open(name, _FOLDER, dir_fd=self.fd))
                except OSError:
                    # Gone, something else by now, or closed to its owner.
                    continue
                with below:
                    yield from below.walk(True, path + "/", depth + 1)

    def _target(self, name: str) -> Optional[str]:
        try:
            return _shown(os.readlink(name, dir_fd=self.fd))
        except OSError:
            return None

    def remove(self, name: str, recursive: bool, depth: int = 1) -> None:
        """Removes an entry; a folder that is not empty only when asked to. Links are removed, not followed."""
        mode = os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode):
            os.unlink(name, dir_fd=self.fd)
            return
        if recursive:
            if depth > MAX_DEPTH:
                raise Refusal("refused", "its folders are more than %d deep" % MAX_DEPTH)
            with Folder(os.open(name, _FOLDER, dir_fd=self.fd)) as below:
                for inner in below.names():
                    try:
                        below.remove(inner, True, depth + 1)
                    except FileNotFoundError:
                        # Somebody else was faster.
                        continue
        os.rmdir(name, dir_fd=self.fd)


def _check_name(name: str) -> None:
    # The worker has checked paths; this holds also if it had not.
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Refusal("refused", "its path is not a relative one")


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
            refusal = _refusal(error)
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

    def _op_stat(self, request: Header, _blob: bytes) -> Answer:
        path = request["path"]
        with self._root() as root:
            if not path:
                return {"type": "directory"}, b""
            folder, name = root.parent_of(path)
            with folder:
                found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
                return {"type": _type(found.st_mode), "size": found.st_size}, b""

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
    with Folder(os.open(directory, _FOLDER)) as own:
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
