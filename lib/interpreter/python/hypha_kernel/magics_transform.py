"""Cells with magics and shell escapes, turned into Python without moving a single line.

A cell that is Python stays untouched. Only when it is not, lines that begin with ``%``, ``!`` or ``?`` (or end
with ``?``, or assign such a thing) become calls of one private callable. Lines are looked at where a logical line
begins, outside of strings, brackets and continued lines. One line in is one line out, so tracebacks name the
lines the user wrote.
"""

import ast
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

#: What the calls go to, among the built-in names. No identifier, so no user code can have the name by accident.
CALLABLE = "%hypha"

#: First words that are more likely a magic without its ``%`` than a mistake in Python.
HINTED = frozenset(
    "pip conda cd ls pwd env set_env time timeit run who whos reset matplotlib load_ext reload_ext mkdir rm cp mv "
    "cat rmdir".split()
)

_ESCAPED = re.compile(r"[ \t]*(!!|!|%|\?\??)")
_HELP = re.compile(r"[ \t]*(%{0,2}(?:[^\W\d]|\*)[\w*]*(?:\.[\w*]+)*)[ \t]*(\?\??)[ \t\r]*$")
_ASSIGNED = re.compile(r"[ \t]*(?:!(?!=)|%[ \t]*[^\W\d])")
_TOKEN = re.compile(r"\"\"\"|'''|[\"'#=()\[\]{}]")
_STRING_ENDS = {
    quote: re.compile(r"(?:[^\\]|\\.)*?" + quote) for quote in ('"', "'", '"""', "'''")
}
_CELL = re.compile(r"(?:[ \t\r]*\n)*%%(?P<name>[^\s]*)(?P<args>[^\n]*)(?:\n|$)")


class Parsed(NamedTuple):
    """A cell as Python: its tree, and the text the tree was made of."""

    tree: Any
    source: str


def parse(source: str, filename: str, flags: int) -> Parsed:
    """Parses a cell. A ``SyntaxError`` names the place in the cell as it was written."""
    error = None  # type: Optional[SyntaxError]
    if _CELL.match(source) is None:
        try:
            return Parsed(_tree(source, filename, flags), source)
        except SyntaxError as failure:
            error = failure.with_traceback(None)
    name = "_hypha_" + os.urandom(16).hex()
    text, changed = transform(source, name)
    if not changed and error is not None:
        _add_hint(error, source)
        raise error
    try:
        tree = _tree(text, filename, flags)
    except SyntaxError as failure:
        error = failure.with_traceback(None)
    else:
        _settle(tree, name, changed)
        return Parsed(tree, text)
    if error.lineno in changed:
        error.text = changed[error.lineno] + "\n"
        error.offset = min(error.offset or 1, len(changed[error.lineno]) + 1)
        if getattr(error, "end_offset", None) is not None:
            error.end_offset = error.offset  # type: ignore[attr-defined]
    _add_hint(error, source)
    raise error


def _tree(source: str, filename: str, flags: int) -> Any:
    return compile(source, filename, "exec", ast.PyCF_ONLY_AST | flags, True)


def _settle(tree: Any, name: str, changed: Dict[int, str]) -> None:
    """Gives the calls their real name, and positions that exist in the line as it was written."""
    lengths = {number: len(line.encode("utf-8", "replace")) for number, line in changed.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = CALLABLE
        length = lengths.get(getattr(node, "lineno", -1))
        if length is not None:
            node.col_offset = min(node.col_offset, length)  # type: ignore[attr-defined]
            node.end_col_offset = min(node.end_col_offset, length)  # type: ignore[attr-defined]


def _add_hint(error: SyntaxError, source: str) -> None:
    lines = source.split("\n")
    if not error.lineno or error.lineno > len(lines):
        return
    line = lines[error.lineno - 1].strip()
    if line.partition(" ")[0] in HINTED:
        shown = line if len(line) <= 80 else line[:80] + "…"
        error.msg = "%s. Did you mean '%%%s'?" % (error.msg, shown)


def transform(source: str, name: str) -> Tuple[str, Dict[int, str]]:
    """A cell with its escapes as calls of ``name``, and the original text of the lines that changed."""
    cell = _CELL.match(source)
    if cell is not None:
        before = source[: cell.start("name")].count("\n")
        body = source[cell.end() :]
        if body and not body.endswith("\n"):
            body += "\n"
        call = "await %s('cell', %r, %r, %r, %d)" % (
            name,
            cell.group("name"),
            cell.group("args").strip(),
            body,
            before + 1,
        )
        original = source.split("\n")[before]
        return "\n" * before + call + "\n" * (body.count("\n") + 1), {before + 1: original}
    return _Lines(source.split("\n"), name).transformed()


class _Lines:
    """Goes through a cell line by line, knowing what each line begins in."""

    def __init__(self, lines: List[str], name: str) -> None:
        self._lines = lines
        self._name = name
        self._at = 0
        self._depth = 0
        self._quote = ""
        self._continued = False
        self._out = []  # type: List[str]
        self._changed = {}  # type: Dict[int, str]

    def transformed(self) -> Tuple[str, Dict[int, str]]:
        """The lines as Python, and the original text of those that changed."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not self._quote and self._depth == 0 and not self._continued and self._escape(line):
                continue
            assigned = self._lex(line)
            if assigned is None:
                self._put(line, 0)
            else:
                text, extra = self._text(line[assigned:])
                call = self._call(text, line[:1].strip() != "", "output")
                self._replace(line[:assigned] + " " + call, extra)
        return "\n".join(self._out), self._changed

    def _put(self, line: str, extra: int) -> None:
        self._out += [line] + [""] * extra
        self._at += 1 + extra

    def _replace(self, line: str, extra: int) -> None:
        """Puts a call in place of the line; the lines it was continued on become empty."""
        self._changed[self._at + 1] = self._lines[self._at]
        self._put(line, extra)

    def _text(self, first: str) -> Tuple[str, int]:
        """The rest of a line, with the lines a backslash at its end adds to it, and how many those are."""
        parts = [first.rstrip()]
        while parts[-1].endswith("\\") and self._at + len(parts) < len(self._lines):
            parts[-1] = parts[-1][:-1]
            parts.append(self._lines[self._at + len(parts)].rstrip())
        return " ".join(parts).strip(), len(parts) - 1

    def _escape(self, line: str) -> bool:
        """Puts a call in place of a logical line, when it is an escape."""
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        escaped = _ESCAPED.match(line)
        kind = escaped.group(1) if escaped else ""
        asked = None if kind.startswith("!") else _HELP.match(line)
        if asked is None and escaped is None:
            return False
        if asked is not None:
            kind, what = asked.group(2), asked.group(1)
        elif kind.startswith("?"):
            what = line[escaped.end() :].strip()  # type: ignore[union-attr]
        else:
            text, extra = self._text(line)
            self._replace(indent + self._call(text, indent == "", "system"), extra)
            return True
        self._replace("%s%s('help', %r, %d)" % (indent, self._name, what, len(kind)), 0)
        return True

    def _call(self, text: str, outermost: bool, command: str) -> str:
        """The call for ``!…`` or ``%…``. ``outermost``: certainly not inside of a function."""
        if text.startswith("!!"):
            return "%s('output', %r)" % (self._name, text[2:].strip())
        if text.startswith("!"):
            return "%s(%r, %r)" % (self._name, command, text[1:].strip())
        word, _, rest = text[1:].strip().partition(" ")
        if word == "time" and outermost and "await" in rest:
            return "await %s('time', %r)" % (self._name, rest.strip())
        if word == "run" and outermost and ".ipynb" in rest:
            return "await %s('notebook', %r)" % (self._name, rest.strip())
        return "%s('line', %r, %r)" % (self._name, word, rest.strip())

    def _lex(self, line: str) -> Optional[int]:
        """Follows strings and brackets through a line. Returns where an escape is assigned."""
        self._continued = False
        at = 0
        while True:
            if self._quote:
                end = _STRING_ENDS[self._quote].match(line, at)
                if end is None:
                    if len(self._quote) == 1 and not _ends_with_backslash(line):
                        self._quote = ""
                    return None
                at = end.end()
                self._quote = ""
            token = _TOKEN.search(line, at)
            if token is None or token.group() == "#":
                self._continued = token is None and _ends_with_backslash(line)
                return None
            at = token.end()
            what = token.group()
            if what in "([{":
                self._depth += 1
            elif what in ")]}":
                self._depth = max(0, self._depth - 1)
            elif what != "=":
                self._quote = what
            elif self._depth == 0 and line[token.start() - 1 : token.start()] not in _OPERATORS:
                if _ASSIGNED.match(line, at):
                    return at


#: What ``=`` belongs to when it stands behind one of these.
_OPERATORS = frozenset("=!<>+-*/%&|^@:~")


def _ends_with_backslash(line: str) -> bool:
    text = line.rstrip("\r")
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1
