"""Capabilities that an isolated session of a worker run by root gives up: they are ways around its isolation.

With ``CAP_PERFMON`` or ``CAP_SYS_ADMIN`` the variables of every process can be read, with ``CAP_DAC_READ_SEARCH``
files are opened without a path, with ``CAP_SYS_RESOURCE`` limits are raised again, and so on. What stays is what
containers get by default, but for new device files and capabilities of files. Nobody else has any to give up.
"""

import ctypes
import os
import struct
import sys

from .landlock import LIBC

#: Numbers of ``linux/capability.h``.
_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID, _KILL = 0, 1, 3, 4, 5
_SETGID, _SETUID, _SETPCAP, _NET_BIND_SERVICE, _NET_RAW, _SYS_CHROOT, _AUDIT_WRITE = 6, 7, 8, 10, 13, 18, 29
_KEPT = sum(
    1 << number
    for number in (
        _CHOWN,
        _DAC_OVERRIDE,
        _FOWNER,
        _FSETID,
        _KILL,
        _SETGID,
        _SETUID,
        _SETPCAP,
        _NET_BIND_SERVICE,
        _NET_RAW,
        _SYS_CHROOT,
        _AUDIT_WRITE,
    )
)

_VERSION_3 = 0x20080522


def give_up() -> None:
    """Gives up what is not kept, for this process and all it starts. Raises ``OSError``."""
    if not sys.platform.startswith("linux"):
        return
    header = struct.pack("=Ii", _VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    _check(LIBC.capget(header, held))
    # Effective, permitted and inheritable ones: first the lower halves of all three, then the upper ones.
    sets = struct.unpack("=6I", held.raw)
    kept = [half & (_KEPT if at < 3 else 0) for at, half in enumerate(sets)]
    if list(sets) == kept:
        return
    # Programs do not get them back, because no new privileges are given to them.
    _check(LIBC.capset(header, struct.pack("=6I", *kept)))


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
