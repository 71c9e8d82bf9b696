"""The debugger: ``breakpoint()``, ``pdb.set_trace()`` and ``%debug`` ask the client, as ``input()`` does.

Where nobody is asked they fail at once, before anything is traced. Stepping shows the user's code only: the
kernel's own frames and those of the event loop are run through, and tracing ends with the cell at the latest.
"""

import os
import sys
import types
from typing import Any, Optional

from . import FOLDER
from .asking import InputNotAvailable, Questions
from .magics_registry import Call, UsageError, cell_magic, line_magic

#: Modules that are not stepped into.
_SKIPPED = ("hypha_kernel", "hypha_kernel.*", "asyncio.*", "selectors", "concurrent.futures.*")

_REFUSAL = (
    "the debugger is not available here: nobody is asked. A client that wants to debug gives an input callback, "
    "which is asked for the debugger's commands; without one, print what you need to know"
)

#: Who answers in this session.
_questions = None  # type: Optional[Questions]


def install(questions: Questions) -> None:
    """Makes ``breakpoint()`` this session's. ``pdb`` itself is changed when it is imported."""
    global _questions
    _questions = questions
    sys.breakpointhook = _on_breakpoint


def require_client() -> None:
    """Raises ``InputNotAvailable`` when nobody can be asked for commands."""
    if _questions is None or _questions.cell is None:
        raise InputNotAvailable(_REFUSAL)


def _on_breakpoint(*args: Any, **options: Any) -> Any:
    wanted = os.environ.get("PYTHONBREAKPOINT") or "pdb.set_trace"
    if wanted != "pdb.set_trace":
        return sys.__breakpointhook__(*args, **options)
    _start(sys._getframe(1), options.get("header"))
    return None


def imported(pdb: types.ModuleType) -> None:
    """Called when user code has imported ``pdb``."""

    def set_trace(*_args: Any, header: Optional[str] = None, **_options: Any) -> None:
        _start(sys._getframe(1), header)

    setattr(pdb, "set_trace", set_trace)


def _start(frame: Any, header: Optional[str]) -> None:
    require_client()
    debugger = _debugger()
    if header is not None:
        debugger.message(header)
    debugger.set_trace(frame)


def _debugger() -> Any:
    import pdb

    class Debugger(pdb.Pdb):
        """An interrupt ends the cell, also while it is debugged; pdb itself would ask on."""

        def _cmdloop(self) -> None:
            self.cmdloop()

    return Debugger(skip=_SKIPPED, nosigint=True)


def end_cell() -> None:
    """A debugger that still traces would stop in the next cell."""
    if "bdb" not in sys.modules:
        return
    owner = getattr(sys.gettrace(), "__self__", None)
    if isinstance(owner, sys.modules["bdb"].Bdb):  # type: ignore[attr-defined]
        sys.settrace(None)


# The last error


def remember(error: BaseException) -> None:
    """Keeps the error of a cell where debuggers look for it, without the kernel's outer frames."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(FOLDER + os.sep):
        traceback = traceback.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    if sys.version_info >= (3, 12):
        sys.last_exc = error


@line_magic("debug", verbatim=True)
def debug(call: Call) -> None:
    """%debug: looks into the last error with pdb; %debug STATEMENT: runs a statement in pdb."""
    require_client()
    if call.text:
        _debugger().run(call.text, call.globals, call.locals)
        return
    traceback = getattr(sys, "last_traceback", None)
    if traceback is None:
        raise UsageError("%debug: there has been no error to look into")
    debugger = _debugger()
    debugger.reset()
    debugger.interaction(None, traceback)


@cell_magic("debug", verbatim=True)
def debug_cell(call: Call, body: str, before: int) -> None:
    """%%debug: runs the cell in pdb, from its first line."""
    require_client()
    tree = call.magics.compiler.parse("\n" * before + body, call.filename)
    _debugger().run(compile(tree, call.filename, "exec", 0, True), call.namespace, call.namespace)


@line_magic("tb")
def tb(_call: Call) -> None:
    """%tb: prints the traceback of the last error again."""
    from .formatters import report

    error = getattr(sys, "last_value", None)
    if error is None:
        print("No traceback available to show.")
    else:
        report(error)


@line_magic("pdb")
def pdb_switch(call: Call) -> None:
    """%pdb off: accepted. The debugger is never started by an error; %debug looks into the last one."""
    if call.text not in ("off", "0"):
        raise UsageError("%pdb is not available here: use %debug after an error")
