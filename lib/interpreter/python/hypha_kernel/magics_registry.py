"""The table of magics, and what one call of a magic knows."""

import types
from typing import TYPE_CHECKING, Any, Callable, Dict, List

if TYPE_CHECKING:
    from .magics import Magics


class UsageError(Exception):
    """A magic that does not exist, or that is used in a way it cannot be."""


# Shown by its bare name in tracebacks.
UsageError.__module__ = "builtins"


class Call:
    """One call of a magic: what was written, and where."""

    def __init__(self, magics: "Magics", name: str, text: str, frame: types.FrameType) -> None:
        self.magics = magics
        self.name = name
        #: What follows the name; expressions are filled in already, unless the magic takes it as it is.
        self.text = text
        self.globals = frame.f_globals
        self.locals = frame.f_locals
        self.filename = frame.f_code.co_filename
        self.line = frame.f_lineno

    @property
    def namespace(self) -> Dict[str, Any]:
        """The variables of the session."""
        return self.magics.namespace

    @classmethod
    def same(cls, call: "Call", text: str) -> "Call":
        """The same call with another text."""
        other = cls.__new__(cls)
        other.__dict__.update(call.__dict__, text=text)
        return other

    def flags(self, known: str) -> List[str]:
        """Takes one-letter flags such as ``-a`` from the beginning of the text; ``UsageError`` for others."""
        found = []  # type: List[str]
        words = self.text.split()
        while words and words[0].startswith("-") and len(words[0]) > 1:
            for letter in words.pop(0)[1:]:
                if letter not in known:
                    raise UsageError(
                        "%%%s does not know the flag -%s; it knows %s"
                        % (self.name, letter, ", ".join("-" + one for one in known) or "none")
                    )
                found.append(letter)
        self.text = " ".join(words) if found else self.text
        return found


class Magic:
    """An entry of the table."""

    def __init__(self, function: Callable[..., Any], verbatim: bool) -> None:
        self.function = function
        #: Whether the text goes to the magic as it was written, without ``{…}`` and ``$…`` filled in.
        self.verbatim = verbatim


def run_to_end(running: Any, what: str) -> Any:
    """Runs a coroutine where nothing can be awaited. Raises ``RuntimeError`` for one that has to wait."""
    try:
        running.send(None)
    except StopIteration as end:
        return end.value
    running.close()
    raise RuntimeError("%s cannot be run this way: it waits for something" % what)


#: Line magics by name; called with a ``Call``.
LINES = {}  # type: Dict[str, Magic]
#: Cell magics by name; called with a ``Call``, the body, and the number of lines before it. May be coroutines.
CELLS = {}  # type: Dict[str, Magic]


def line_magic(*names: str, verbatim: bool = False) -> Callable[[Any], Any]:
    """Puts a function into the table of line magics."""

    def register(function: Any) -> Any:
        for name in names:
            LINES[name] = Magic(function, verbatim)
        return function

    return register


def cell_magic(*names: str, verbatim: bool = False) -> Callable[[Any], Any]:
    """Puts a function into the table of cell magics."""

    def register(function: Any) -> Any:
        for name in names:
            CELLS[name] = Magic(function, verbatim)
        return function

    return register
