"""Magics and shell escapes: what the calls made by ``magics_transform`` do."""

import builtins
import inspect
import sys
import types
from typing import Any, Dict, List

from . import cells, debugging, introspection, magics_ipython, magics_looking, magics_notebook, magics_timing
from . import magics_cells, magics_lines, magics_packages, magics_transform  # noqa: F401  they fill the table
from .display import Publisher
from .inline_figures import Figures
from .magics_registry import CELLS, LINES, Call, UsageError
from .magics_shell import expand, output, system
from .shell import HyphaShell

Namespace = Dict[str, Any]


class Magics:
    """The magics of one session."""

    def __init__(
        self,
        namespace: Namespace,
        compiler: "cells.Compiler",
        publisher: Publisher,
        figures: Figures,
        shell: HyphaShell,
    ) -> None:
        self.namespace = namespace
        self.compiler = compiler
        self.publisher = publisher
        self.figures = figures
        self.shell = shell
        #: The names a session begins with, and their values.
        self.given = dict(namespace)
        #: Where ``%cd -`` goes.
        self.directories = []  # type: List[str]
        #: Where ``%popd`` goes.
        self.stack = []  # type: List[str]

    def install(self) -> None:
        """Makes the magics callable from cells."""
        setattr(builtins, magics_transform.CALLABLE, self)

    def __call__(self, kind: str, *args: Any) -> Any:
        frame = sys._getframe(1)
        if kind == "system":
            return system(self.namespace, expand(args[0], frame))
        if kind == "output":
            return output(self.namespace, expand(args[0], frame))
        if kind == "show":
            return None if args[0] is None else self.publisher.display(args[0])
        if kind == "help":
            return self.help(args[0], args[1])
        if kind == "time":
            return magics_timing.time_line(Call(self, "time", args[0], frame))
        if kind == "notebook":
            return magics_notebook.run_notebook(Call(self, "run", expand(args[0], frame), frame))
        if kind == "cell":
            return self._cell(frame, *args)
        return self._line(frame, *args)

    def _line(self, frame: types.FrameType, name: str, text: str) -> Any:
        magic = LINES.get(name)
        if magic is None:
            raise UsageError(_unknown(name, False))
        return magic.function(Call(self, name, text if magic.verbatim else expand(text, frame), frame))

    async def _cell(
        self, frame: types.FrameType, name: str, text: str, body: str, before: int
    ) -> Any:
        magic = CELLS.get(name)
        if magic is None:
            raise UsageError(_unknown(name, True))
        call = Call(self, name, text if magic.verbatim else expand(text, frame), frame)
        value = magic.function(call, body, before)
        return await value if inspect.isawaitable(value) else value

    async def run(self, body: str, before: int, filename: str) -> Any:
        """Runs the body of a cell magic as the cell it stands in. Returns its result, if any."""
        compiled = self.compiler.compile_text("\n" * before + body, filename)
        has_result, value = await cells.run(compiled, self.namespace)
        return value if has_result else None

    def help(self, what: str, detail: int) -> None:
        """``name?``: signature and documentation; ``name??``: the source too; ``na*?``: the names that fit."""
        if "*" in what:
            print("\n".join(magics_looking.matching(self.namespace, what)))
            return
        if what.startswith("%") or not what:
            text = _help_on_magic(what)
        else:
            found = introspection.describe(self.namespace, what, len(what), detail - 1)
            text = (found.get("data") or {}).get("text/plain", "")
            if not found.get("found"):
                print("Object `%s` not found." % what)
                return
        self.publisher.send({"text/plain": text})


def _unknown(name: str, cell: bool) -> str:
    prefix, table, other = ("%%", CELLS, LINES) if cell else ("%", LINES, CELLS)
    kind = "Cell magic" if cell else "Line magic"
    if not cell and name.startswith("%"):
        return "Cell magic `%%%s` must be the first line of its cell" % name
    if name in magics_ipython.REFUSED:
        return "%s `%s%s` is not available here: %s" % (kind, prefix, name, magics_ipython.REFUSED[name])
    text = "%s `%s%s` not found" % (kind, prefix, name)
    # Takes long to import, which every environment's first session would wait for.
    import difflib

    near = difflib.get_close_matches(name, list(table), 3)
    if name in other:
        text += " (but there is `%s%s`)" % ("%" if cell else "%%", name)
    elif near:
        text += "; did you mean %s?" % " or ".join("`%s%s`" % (prefix, one) for one in near)
    else:
        text += "; %lsmagic lists what there is"
    return text


def _help_on_magic(what: str) -> str:
    name = what.lstrip("%")
    parts = []  # type: List[str]
    for prefix, table in (("%", LINES), ("%%", CELLS)):
        if name in table and not (what.startswith("%%") and prefix == "%"):
            parts.append("%s%s\n%s" % (prefix, name, inspect.getdoc(table[name].function) or ""))
    if not name:
        return magics_ipython.list_magics()
    return "\n\n".join(parts) if parts else _unknown(name, what.startswith("%%"))


def explain(error: BaseException) -> None:
    """Keeps the error of a cell for debuggers, and adds to one that comes of a magic without its ``%``."""
    debugging.remember(error)
    _add_hint(error)


def _add_hint(error: BaseException) -> None:
    """Adds to a ``NameError`` that comes of a magic written without its ``%``, such as ``ls``."""
    if not isinstance(error, NameError) or not error.args or not isinstance(error.args[0], str):
        return
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return
    import linecache

    line = linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno).strip()
    word = line.partition(" ")[0]
    if word in magics_transform.HINTED and "'%s'" % word in error.args[0] and len(line) <= 80:
        error.args = ("%s. Did you mean '%%%s'?" % (error.args[0], line),) + error.args[1:]
