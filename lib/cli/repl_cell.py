"""Tells whether what was typed at a prompt is a whole cell, by Python's own rules and those of magics."""

import ast
import builtins
import codeop
import warnings
from typing import Any

from hypha_kernel import cells, magics_transform


def status(source: str) -> str:
    """``complete``, ``incomplete`` or ``invalid``; what is invalid is run as well, to show why."""
    source = cells.without_leading_indent(source)
    blank = source.endswith("\n") or not source.split("\n")[-1].strip()
    if source.lstrip().startswith("%%"):
        # A cell of its own kind ends with an empty line.
        return "complete" if blank and "\n" in source else "incomplete"
    text, _ = magics_transform.transform(source, "_hypha")
    compiler = codeop.CommandCompiler()
    # Top-level await.
    compiler.compiler.flags |= 0x2000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if compiler(text, "<input>", "exec") is None:
                return "incomplete"
            tree = ast.parse(text)
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            return "invalid"
    last = tree.body[-1] if tree.body else None  # type: Any
    # After a compound statement there may come more of it, such as an else, until an empty line.
    if (hasattr(last, "body") or hasattr(last, "cases")) and not blank:
        return "incomplete"
    return "complete"


builtins.display({"text/plain": status(source)}, raw=True)  # type: ignore[attr-defined,name-defined]  # noqa: F821
