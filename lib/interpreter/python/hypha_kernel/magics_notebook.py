"""``%run notebook.ipynb``: runs the cells of a notebook in the session, in their order."""

import json
import os
import shlex
import sys
from typing import Any, List

from . import cells
from .magics_registry import Call, UsageError

_MISSING = object()


async def run_notebook(call: Call) -> None:
    """Runs the code cells of a notebook; what they define is there afterwards. Only what they print is shown."""
    words = [word for word in shlex.split(call.text) if word not in ("-i", "-n")]
    if len(words) != 1:
        raise UsageError("%run needs one notebook, and gives it no arguments")
    path = os.path.abspath(os.path.expanduser(words[0]))
    sources = _code_of(path)
    names = call.namespace
    had_file = names.get("__file__", _MISSING)
    saved = list(sys.path)
    sys.path.insert(0, os.path.dirname(path))
    names["__file__"] = path
    try:
        for number, source in enumerate(sources, 1):
            filename = "<%s, code cell %d>" % (os.path.basename(path), number)
            await cells.run(call.magics.compiler.compile(source, filename), names)
    finally:
        sys.path[:] = saved
        if had_file is _MISSING:
            names.pop("__file__", None)
        else:
            names["__file__"] = had_file


def _code_of(path: str) -> List[str]:
    """The sources of the code cells of a notebook of format 3 or 4."""
    try:
        with open(path, encoding="utf-8") as file:
            notebook = json.load(file)
        found = notebook.get("cells")
        if found is None:
            found = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        return [_text(cell.get("source", cell.get("input", ""))) for cell in found if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("%%run: %s is no notebook" % path) from None


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
