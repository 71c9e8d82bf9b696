"""A coroutine that nobody awaited is reported at the line of the cell that dropped it.

Python names the line that runs when the coroutine goes away. For the last expression of a cell that is a line of
the kernel, of which users know nothing.
"""

import dis
import sys
import traceback
import warnings
from types import CodeType
from typing import Any

from . import FOLDER, cells


def install() -> None:
    """Replaces the function that Python calls for such coroutines."""
    if hasattr(warnings, "_warn_unawaited_coroutine"):
        warnings._warn_unawaited_coroutine = _warn


def _warn(coroutine: Any) -> None:
    text = "coroutine %r was never awaited" % coroutine.__qualname__
    if coroutine.cr_origin:
        lines = traceback.format_list([(*entry, None) for entry in reversed(coroutine.cr_origin)])
        text += "\nCoroutine created at (most recent call last)\n" + "".join(lines).rstrip()
    frame = sys._getframe(1)
    place = frame
    while frame is not None and frame.f_code.co_filename.startswith(FOLDER):
        for value in list(frame.f_locals.values()):
            if isinstance(value, cells.Cell):
                code = value.last or value.body
                main = sys.modules["__main__"].__dict__
                _report(coroutine, text, code.co_filename, _last_line(code), main)
                return
        frame = frame.f_back  # type: ignore[assignment]
    if frame is not None:
        place = frame
    _report(coroutine, text, place.f_code.co_filename, place.f_lineno, place.f_globals)


def _report(coroutine: Any, text: str, filename: str, line: int, namespace: Any) -> None:
    registry = namespace.setdefault("__warningregistry__", {})
    module = str(namespace.get("__name__") or "<unknown>")
    warnings.warn_explicit(text, RuntimeWarning, filename, line, module, registry, source=coroutine)


def _last_line(code: CodeType) -> int:
    return max([line for _, line in dis.findlinestarts(code) if line] or [1])
