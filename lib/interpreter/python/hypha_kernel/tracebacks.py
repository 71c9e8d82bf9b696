"""Errors of cells as people and notebooks expect them: without the kernel's own frames."""

import os
import traceback
from typing import Any, Dict, List, Optional, Set

from . import FOLDER

_PREFIX = FOLDER + os.sep
#: Longest text of an error's value that is sent (characters).
MAX_VALUE = 20000
#: Most lines of a traceback that are sent.
MAX_LINES = 1000


def _clean(error: Optional[traceback.TracebackException], seen: Set[int]) -> None:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    kept = [frame for frame in error.stack if not frame.filename.startswith(_PREFIX)]
    error.stack = traceback.StackSummary.from_list(kept)
    _clean(error.__cause__, seen)
    _clean(error.__context__, seen)
    for inner in getattr(error, "exceptions", None) or []:
        _clean(inner, seen)


def _value_of(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as failure:  # a broken __str__ must not hide the error itself
        text = "<cannot be shown: %s in __str__>" % type(failure).__name__
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def _cut(lines: List[str]) -> List[str]:
    """A traceback of bearable size: its beginning and its end say most."""
    lines = [line if len(line) <= MAX_VALUE else line[:MAX_VALUE] + "…" for line in lines]
    if len(lines) <= MAX_LINES:
        return lines
    left_out = "… %d lines are left out …" % (len(lines) - MAX_LINES)
    return lines[: MAX_LINES // 2] + [left_out] + lines[-MAX_LINES // 2 :]


def describe(error: BaseException) -> Dict[str, Any]:
    """``ename``, ``evalue`` and ``traceback`` (lines) as in Jupyter's ``error`` message."""
    lines = []  # type: List[str]
    try:
        formatted = traceback.TracebackException(type(error), error, error.__traceback__)
        _clean(formatted, set())
        for chunk in formatted.format():
            lines += (chunk[:-1] if chunk.endswith("\n") else chunk).split("\n")
    except BaseException as failure:
        lines = ["%s: %s" % (type(error).__name__, _value_of(error))]
        lines.append("(the traceback cannot be shown: %s)" % type(failure).__name__)
    return {"ename": type(error).__name__, "evalue": _value_of(error), "traceback": _cut(lines)}
