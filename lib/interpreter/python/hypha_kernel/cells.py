"""Compiling and running one cell with Jupyter's semantics."""

import __future__

import ast
import inspect
import io
import linecache
import tokenize
from types import CodeType
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import magics_transform

#: ``ast.PyCF_ALLOW_TOP_LEVEL_AWAIT``; the number is the same in every version that has it.
_TOP_LEVEL_AWAIT = 0x2000
_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


_NOTHING = compile("", "<nothing>", "exec", 0, True)


class Cell(NamedTuple):
    """A compiled cell: statements, and the last expression whose value is the cell's result."""

    body: CodeType
    last: Optional[CodeType]
    silent_result: bool


def ends_with_semicolon(source: str) -> bool:
    """Whether the last token of a cell is a semicolon; comments and line ends do not count."""
    if ";" not in source:
        return False
    last = ""
    skipped = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.DEDENT,
    )
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type not in skipped:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ";"


def source_lines(source: str) -> List[str]:
    """Lines as Python counts them: ``str.splitlines`` also splits at form feeds and the like."""
    return io.StringIO(source, newline=None).readlines()


def without_leading_indent(source: str) -> str:
    """A cell pasted from indented text, as IPython takes it: what the first line is indented by is removed."""
    if not source[:1].isspace():
        return source
    for line in source_lines(source):
        if line.strip():
            indent = line[: len(line) - len(line.lstrip(" \t"))]
            break
    else:
        return source
    if not indent:
        return source
    lines = source_lines(source)
    return "".join(line[len(indent) :] if line.startswith(indent) else line for line in lines)


class Compiler:
    """Compiles cells; ``from __future__`` statements hold for all later ones."""

    def __init__(self) -> None:
        self._flags = _TOP_LEVEL_AWAIT
        #: Says which expressions of a cell are shown (IPython's ``ast_node_interactivity``).
        self.interactivity = lambda: "last_expr"  # type: Callable[[], str]

    def compile(self, source: str, filename: str) -> Cell:
        """Compiles a cell and makes its text known to tracebacks and ``inspect``."""
        source = without_leading_indent(source)
        lines = source_lines(source)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        # Without a modification time the entry survives linecache.checkcache().
        linecache.cache[filename] = (len(source), None, lines, filename)  # type: ignore[assignment]
        return self.compile_text(source, filename)

    @property
    def flags(self) -> int:
        """What cells are compiled with."""
        return self._flags

    def parse(self, source: str, filename: str) -> Any:
        """The syntax tree of code that may contain magics."""
        return magics_transform.parse(source, filename, self._flags).tree

    def compile_text(self, source: str, filename: str) -> Cell:
        """Compiles code that stands in a cell whose text is known already."""
        tree, source = magics_transform.parse(source, filename, self._flags)
        last = None  # type: Optional[CodeType]
        statements = tree.body  # type: List[Any]
        interactivity = self.interactivity()
        if interactivity != "last_expr":
            _choose_shown(statements, interactivity)
        expression = statements.pop() if statements and isinstance(statements[-1], ast.Expr) else None
        body = compile(tree, filename, "exec", self._flags, True) if statements else _NOTHING
        self._flags |= body.co_flags & _FUTURES
        if expression is not None:
            last = compile(ast.Expression(expression.value), filename, "eval", self._flags, True)
        return Cell(body, last, ends_with_semicolon(source))


def _choose_shown(statements: List[Any], interactivity: str) -> None:
    """Rewrites a cell so that other expressions than the last are shown, or none."""
    last = statements[-1] if statements else None
    if interactivity == "last_expr_or_assign" and isinstance(last, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        target = last.targets[0] if isinstance(last, ast.Assign) else last.target
        if isinstance(target, ast.Name):
            shown = ast.Expr(ast.Name(target.id, ast.Load()))
            statements.append(ast.fix_missing_locations(ast.copy_location(shown, last)))
    elif interactivity == "none" and isinstance(last, ast.Expr):
        statements.append(ast.copy_location(ast.Pass(), last))
    elif interactivity == "all":
        for statement in statements[:-1]:
            if isinstance(statement, ast.Expr):
                show = ast.copy_location(ast.Name(magics_transform.CALLABLE, ast.Load()), statement)
                call = ast.Call(show, [ast.Constant("show"), statement.value], [])
                statement.value = ast.fix_missing_locations(ast.copy_location(call, statement))


async def run(cell: Cell, namespace: Dict[str, Any]) -> Tuple[bool, Any]:
    """Runs a cell. Returns whether it has a result, and the result."""
    value = eval(cell.body, namespace)  # noqa: S307  running code is what a kernel does
    if cell.body.co_flags & inspect.CO_COROUTINE:
        await value
    if cell.last is None:
        return False, None
    value = eval(cell.last, namespace)  # noqa: S307
    if cell.last.co_flags & inspect.CO_COROUTINE:
        value = await value
    return not cell.silent_result and value is not None, value
