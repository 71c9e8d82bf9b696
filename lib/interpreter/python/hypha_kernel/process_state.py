"""The state of the session's process around a cell: variables, C streams, and forked children that come home."""

import ctypes
import os
import sys
from typing import Any, Dict, Optional

from . import tracebacks
from .marks import write_all


def change_environment(changes: Dict[str, Optional[str]]) -> Dict[str, Optional[str]]:
    """Sets and (with ``None``) removes environment variables; returns the changes that undo it."""
    undo = {}  # type: Dict[str, Optional[str]]
    for name, value in changes.items():
        undo[name] = os.environ.get(name)
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return undo


def flush_c_streams() -> None:
    """What C code holds back in its standard output belongs to the cell that printed it."""
    if _LIBC is not None:
        _LIBC.fflush(_C_STDOUT)


try:
    _LIBC = ctypes.CDLL(None)  # type: Optional[Any]
    # Not all streams of the process: one that another thread reads from is locked.
    _C_STDOUT = ctypes.c_void_p.in_dll(
        _LIBC, "__stdoutp" if sys.platform == "darwin" else "stdout"  # type: ignore[arg-type]
    )
    _LIBC.fflush.argtypes = [ctypes.c_void_p]  # type: ignore[union-attr]
except (OSError, AttributeError, ValueError):
    _LIBC = None


def write_error(fd: int, error: BaseException) -> None:
    try:
        write_all(fd, ("\n".join(tracebacks.describe(error)["traceback"]) + "\n").encode("utf-8", "replace"))
    except OSError:
        pass


def leave_child(failed: Optional[BaseException]) -> None:
    """Ends a process that user code forked and that came to the end of the cell: only the session reports it."""
    code = 0
    if isinstance(failed, SystemExit) and (failed.code is None or isinstance(failed.code, int)):
        code = failed.code or 0
    elif failed is not None:
        code = 1
        write_error(2, failed)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 255)
