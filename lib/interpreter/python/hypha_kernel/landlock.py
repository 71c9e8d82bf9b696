"""Landlock, by which a process gives up rights for itself and for all it will ever start; no privileges needed.

The rights and structures are those of ``linux/landlock.h``; what older kernels do not know is left out. A ruleset
is an allow list: what it handles is refused everywhere but below the paths that are allowed, and there is no
exception below an allowed path.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
from typing import Any, Tuple

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

#: What can be allowed for something that is no directory.
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

SCOPE_ABSTRACT_SOCKETS = 1 << 0
SCOPE_SIGNALS = 1 << 1

#: The same numbers on every processor that takes part in the common table.
_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_OTHER_TABLES = ("alpha", "mips")

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_O_PATH = getattr(os, "O_PATH", 0)


#: The C library, by which system calls are made.
LIBC = ctypes.CDLL(None, use_errno=True)
_NONE = ctypes.c_uint32(0)
_BENEATH = ctypes.c_int(_RULE_PATH_BENEATH)


def _support() -> Tuple[int, str]:
    if not sys.platform.startswith("linux"):
        return 0, "only Linux has Landlock"
    if os.uname().machine.startswith(_OTHER_TABLES):
        return 0, "Landlock is not known to work on this processor"
    try:
        version = _call(
            _CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION)
        )
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return 0, "the kernel has no Landlock (Linux 5.13 or newer is needed)"
        if error.errno == errno.EOPNOTSUPP:
            return 0, "Landlock is switched off in the kernel (see its boot parameter lsm=)"
        return 0, "Landlock cannot be used: %s" % error.strerror
    return version, ""


def _call(number: int, *args: Any) -> int:
    """A system call. Raises ``OSError``."""
    result = LIBC.syscall(ctypes.c_long(number), *args)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


#: Version of the kernel's Landlock, 0 without; and then why.
ABI, REASON = _support()


def handled(abi: int) -> int:
    """The rights to files that a version can refuse."""
    rights = REFER - 1
    if abi >= 2:
        rights |= REFER
    if abi >= 3:
        rights |= TRUNCATE
    if abi >= 5:
        rights |= IOCTL_DEV
    return rights


def scopes(abi: int) -> int:
    """What a version can keep within the processes that are restricted together."""
    return SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if abi >= 6 else 0


class Ruleset:
    """What is going to be refused, and where it stays allowed."""

    def __init__(self, rights: int, scoped: int = 0, abi: int = ABI) -> None:
        """Refuses ``rights`` to files, as far as the version knows them. Raises ``OSError``."""
        self._handled = rights & handled(abi)
        # struct landlock_ruleset_attr: files, network, scopes. An older kernel knows only its beginning.
        attributes = struct.pack("=QQQ", self._handled, 0, scoped & scopes(abi))
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        self.fd = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), _NONE)
        self._number = ctypes.c_int(self.fd)

    def allow(self, path: str, rights: int) -> None:
        """Allows rights to a path and to all below it. One that is missing stays out of reach; links are not followed."""
        rights &= self._handled
        try:
            fd = os.open(path, _O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        try:
            if rights & ~_OF_FILES and not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _OF_FILES
            if rights:
                # struct landlock_path_beneath_attr
                _call(_ADD_RULE, self._number, _BENEATH, struct.pack("=Qi", rights, fd), _NONE)
        finally:
            os.close(fd)

    def restrict(self) -> None:
        """Restricts this thread and everything it starts, for ever. Raises ``OSError``."""
        if LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        _call(_RESTRICT_SELF, self._number, _NONE)

    def close(self) -> None:
        """Closes the descriptor, through which rules could still be added. May be called again."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
