"""Plain text of values, in the layout that IPython gives them, for values with and without ``_repr_pretty_``.

A value is a tree of groups. A group stays on its line when it fits; else each of its breakable places becomes a
line end, outermost groups first. The methods of ``Printer`` are those that ``_repr_pretty_(printer, cycle)`` of
user code calls, so their names are IPython's.
"""

from collections import deque
from contextlib import contextmanager
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

#: Longest plain text of one value (characters).
MAX_TEXT = 1000000
#: Most elements of one container that are shown.
MAX_ELEMENTS = 1000
#: Width of a line (characters).
WIDTH = 79

TypePrinter = Callable[[Any, "Printer", bool], Any]


class _Full(Exception):
    """The text is long enough."""


class _Group:
    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.breaks = deque()  # type: Deque[_Piece]
        self.broken = False


class _Piece:
    """Text, or (with a group) a place where the line may end."""

    def __init__(self, text: str, indentation: int = 0, group: Optional[_Group] = None) -> None:
        self.text = text
        self.indentation = indentation
        self.group = group


class Printer:
    """Lays out one value. Reaching the limit of the text raises ``_Full``, which ``plain_text`` expects."""

    def __init__(self, type_printers: Dict[type, TypePrinter], deferred: Dict[Tuple[str, str], TypePrinter]) -> None:
        self._type_printers = type_printers
        self._deferred = deferred
        self._written = []  # type: List[str]
        self._room = MAX_TEXT
        self._buffer = deque()  # type: Deque[_Piece]
        self._groups = [_Group(0)]
        self._waiting = [[self._groups[0]]]  # type: List[List[_Group]]
        self.stack = []  # type: List[int]
        self.output = self
        self.output_width = 0
        self.buffer_width = 0
        self.indentation = 0
        self.max_width = WIDTH
        self.max_seq_length = MAX_ELEMENTS
        self.newline = "\n"
        self.verbose = False

    # Writing

    def write(self, text: str) -> None:
        """Adds finished text."""
        self._room -= len(text)
        self._written.append(text)
        if self._room < 0:
            raise _Full

    def value(self) -> str:
        """What has been written."""
        return "".join(self._written)

    def _emit(self, piece: _Piece) -> None:
        group = piece.group
        if group is not None:
            group.breaks.popleft()
            if group.broken:
                self.write(self.newline + " " * piece.indentation)
                self.output_width = piece.indentation
                return
            if not group.breaks:
                self._forget(group)
        self.write(piece.text)
        self.output_width += len(piece.text)

    def _forget(self, group: _Group) -> None:
        if group in self._waiting[group.depth]:
            self._waiting[group.depth].remove(group)

    def _next_group(self) -> Optional[_Group]:
        """The outermost group that still can be broken."""
        for level in self._waiting:
            for index, group in enumerate(reversed(level)):
                if group.breaks:
                    # Counted from the wrong end, as IPython does: the layout is to be the same.
                    del level[index]
                    group.broken = True
                    return group
            for group in level:
                group.broken = True
            del level[:]
        return None

    def _break(self, group: _Group) -> None:
        while group.breaks:
            self._pop()
        while self._buffer and self._buffer[0].group is None:
            self._pop()

    def _pop(self) -> None:
        piece = self._buffer.popleft()
        self.buffer_width -= len(piece.text)
        self._emit(piece)

    def _fit(self) -> None:
        while self.max_width < self.output_width + self.buffer_width:
            group = self._next_group()
            if group is None:
                return
            self._break(group)

    # What printers of types call

    def text(self, text: str) -> None:
        """Adds text that is not broken."""
        if self._buffer:
            self._buffer.append(_Piece(text))
            self.buffer_width += len(text)
            self._fit()
        else:
            self.write(text)
            self.output_width += len(text)

    def breakable(self, sep: str = " ") -> None:
        """Adds a place where the line may end; a separator stands there when it does not."""
        group = self._groups[-1]
        if group.broken:
            self._new_line()
        else:
            piece = _Piece(sep, self.indentation, group)
            group.breaks.append(piece)
            self._buffer.append(piece)
            self.buffer_width += len(sep)
            self._fit()

    def break_(self) -> None:
        """Ends the line."""
        group = self._next_group()
        if group is not None:
            self._break(group)
        self._new_line()

    def _new_line(self) -> None:
        self.flush()
        self.write(self.newline + " " * self.indentation)
        self.output_width = self.indentation

    def flush(self) -> None:
        """Writes what waits for its line to be decided."""
        while self._buffer:
            self._pop()

    def begin_group(self, indent: int = 0, open: str = "") -> None:
        """Begins a group, with what opens it and how far its lines are indented."""
        if open:
            self.text(open)
        group = _Group(self._groups[-1].depth + 1)
        self._groups.append(group)
        while len(self._waiting) <= group.depth:
            self._waiting.append([])
        self._waiting[group.depth].append(group)
        self.indentation += indent

    def end_group(self, dedent: int = 0, close: str = "") -> None:
        """Ends a group, with what closes it."""
        self.indentation -= dedent
        group = self._groups.pop()
        if not group.breaks:
            self._forget(group)
        if close:
            self.text(close)

    @contextmanager
    def group(self, indent: int = 0, open: str = "", close: str = "") -> Iterator[None]:
        """A group as a context."""
        self.begin_group(indent, open)
        try:
            yield
        finally:
            self.end_group(indent, close)

    @contextmanager
    def indent(self, indent: int) -> Iterator[None]:
        """Indents what is printed inside."""
        self.indentation += indent
        try:
            yield
        finally:
            self.indentation -= indent

    def _enumerate(self, items: Iterable[Any]) -> Iterator[Tuple[int, Any]]:
        for index, item in enumerate(items):
            if self.max_seq_length and index >= self.max_seq_length:
                self.text(",")
                self.breakable()
                self.text("...")
                return
            yield index, item

    def pretty(self, value: Any) -> None:
        """Adds a value: by the printer of its type, its ``_repr_pretty_``, or its ``repr``."""
        cycle = id(value) in self.stack
        self.stack.append(id(value))
        self.begin_group()
        try:
            self._printer_of(value)(value, self, cycle)
        finally:
            self.end_group()
            self.stack.pop()

    def _printer_of(self, value: Any) -> TypePrinter:
        for cls in _mro(value):
            printer = self._type_printers.get(cls)
            if printer is None:
                key = (getattr(cls, "__module__", None), getattr(cls, "__name__", None))
                printer = self._deferred.get(key)  # type: ignore[arg-type]
            if printer is not None:
                return printer
            if "_repr_pretty_" in cls.__dict__ and callable(cls._repr_pretty_):  # type: ignore[attr-defined]
                return cls._repr_pretty_  # type: ignore[attr-defined, no-any-return]
            if cls is not object and "__repr__" in cls.__dict__ and callable(cls.__repr__):
                return by_repr
        return by_address


def _mro(value: Any) -> Tuple[type, ...]:
    try:
        return value.__class__.__mro__  # type: ignore[no-any-return]
    except Exception:
        return type(value).__mro__


def by_repr(value: Any, printer: Printer, _cycle: bool = False) -> None:
    """The value's own ``repr``; its lines keep their places below each other."""
    if type(value) in (str, bytes) and len(value) > MAX_TEXT:
        text = repr(value[:MAX_TEXT])
    else:
        text = repr(value)
    with printer.group():
        for index, line in enumerate(text.splitlines()):
            if index:
                printer.break_()
            printer.text(line)


def by_address(value: Any, printer: Printer, cycle: bool) -> None:
    """An object that has no ``repr`` of its own."""
    if type(value).__repr__ is not object.__repr__:
        by_repr(value, printer)
        return
    with printer.group(1, "<", ">"):
        printer.pretty(type(value))
        printer.text(" at 0x%x" % id(value) + (" ..." if cycle else ""))


#: Types whose ``repr`` is one line: there is nothing to lay out.
_ONE_LINE = frozenset((int, float, str))


def plain_text(value: Any, printers: Dict[type, TypePrinter], deferred: Dict[Tuple[str, str], TypePrinter]) -> str:
    """The text of a value, cut when it is too long."""
    if type(value) in _ONE_LINE and printers.get(type(value)) is by_repr:
        text = repr(value)
        if len(text) <= MAX_TEXT:
            return text
    printer = Printer(printers, deferred)
    try:
        printer.pretty(value)
        printer.flush()
        return printer.value()
    except _Full:
        return printer.value()[:MAX_TEXT] + "…"
