"""Folders that are walked through without following links, part by part (see ``file_access.py``)."""

import errno
import itertools
import os
import stat
from typing import Any, Dict, Generator, List, Optional, Tuple

#: Most entries of one folder that are looked at: their names are held in memory.
MAX_FOLDER = 1000000
#: Deepest folder that is entered: each level holds a descriptor.
MAX_DEPTH = 100

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A pipe or a device must not make anybody wait, nor become the controlling terminal.
_FILE_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Refusal(Exception):
    """An answer that says why not. Kinds: ``missing``, ``refused``, ``full``, ``failed``."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def refusal_of(error: OSError) -> Refusal:
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


def type_of(mode: int) -> str:
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
    return refusal_of(error)


class Folder:
    """A folder that is open. Paths below it have ``/`` between their parts; the empty one is the folder itself."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes it."""
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
                    below = os.open(name, FOLDER_FLAGS, dir_fd=fd)
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
            fd = os.open(name, flags | _FILE_FLAGS, 0o666, dir_fd=self.fd)
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

    def walk(self, recursive: bool, prefix: str = "", depth: int = 1) -> "Generator[Dict[str, Any], None, None]":
        """Entries of this folder, and when asked of those below, each after its folder."""
        for name in self.names():
            try:
                found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except OSError:
                # Gone meanwhile.
                continue
            path = prefix + _shown(name)
            kind = type_of(found.st_mode)
            item = {"path": path, "type": kind, "modified": found.st_mtime}  # type: Dict[str, Any]
            if kind == "file":
                item["size"] = found.st_size
            if kind == "link":
                item["target"] = self._target(name)
            yield item
            if recursive and kind == "directory" and depth < MAX_DEPTH:
                try:
                    below = Folder(os.open(name, FOLDER_FLAGS, dir_fd=self.fd))
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
            with Folder(os.open(name, FOLDER_FLAGS, dir_fd=self.fd)) as below:
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
