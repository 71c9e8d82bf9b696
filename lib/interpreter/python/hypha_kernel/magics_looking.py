"""Magics that show things: objects and their sources, files, and the cells that have been run."""

import fnmatch
import inspect
import os
import shlex
from typing import Any, Dict, Iterable, List, Tuple

from . import introspection
from .magics_registry import Call, UsageError, line_magic

# Objects


def _found(call: Call) -> Any:
    if not call.text:
        raise UsageError("%%%s needs the name of an object" % call.name)
    try:
        return introspection.lookup(call.namespace, call.text)
    except Exception:
        raise UsageError("Object `%s` not found." % call.text) from None


@line_magic("pinfo", "pinfo2")
def pinfo(call: Call) -> None:
    """%pinfo NAME: what is known of an object, as NAME?; %pinfo2 NAME: its source too, as NAME??."""
    call.magics.help(call.text, 2 if call.name == "pinfo2" else 1)


@line_magic("pdoc")
def pdoc(call: Call) -> None:
    """%pdoc NAME: the documentation of an object."""
    print(inspect.getdoc(_found(call)) or "No documentation found for %s" % call.text)


@line_magic("pdef")
def pdef(call: Call) -> None:
    """%pdef NAME: how a function or class is called."""
    value = _found(call)
    try:
        print("%s%s" % (call.text, inspect.signature(value)))
    except (TypeError, ValueError):
        print("No signature found for %s" % call.text)


@line_magic("psource")
def psource(call: Call) -> None:
    """%psource NAME: the source of an object."""
    try:
        print(inspect.getsource(_found(call)), end="")
    except (OSError, TypeError):
        print("No source found for %s" % call.text)


@line_magic("pfile")
def pfile(call: Call) -> None:
    """%pfile NAME: the file that defines an object, or a program."""
    path = call.text
    if not os.path.exists(path):
        try:
            path = str(inspect.getsourcefile(_found(call)))
        except (OSError, TypeError):
            raise UsageError("No file found for %s" % call.text) from None
    print(_text_of(path), end="")


@line_magic("psearch")
def psearch(call: Call) -> None:
    """%psearch PATTERN: the names that fit a pattern with *, as PATTERN?; numpy.*load* looks into numpy."""
    print("\n".join(matching(call.namespace, call.text)))


def matching(namespace: Dict[str, Any], pattern: str) -> List[str]:
    """Names in the session, or attributes of an object in it, that fit a pattern."""
    owner, dot, last = pattern.rpartition(".")
    names = []  # type: Iterable[str]
    if dot:
        try:
            names = dir(introspection.lookup(namespace, owner))
        except Exception:
            names = []
    else:
        names = set(namespace) | set(dir(namespace["__builtins__"]))
    hidden = last.startswith("_")
    found = [name for name in names if hidden or not name.startswith("_")]
    return sorted(owner + dot + name for name in fnmatch.filter(found, last))


# Files


def _text_of(path: str) -> str:
    with open(os.path.expanduser(path), encoding="utf-8", errors="replace") as file:
        text = file.read()
    return text if text.endswith("\n") or not text else text + "\n"


@line_magic("load", "loadpy", "pycat")
def load(call: Call) -> None:
    """%load FILE, %pycat FILE: prints a program. There is no next cell that could be filled with it."""
    words = shlex.split(call.text)
    if len(words) != 1 or words[0].startswith("-"):
        raise UsageError("%%%s needs one file" % call.name)
    print(_text_of(words[0]), end="")


@line_magic("page")
def page(call: Call) -> None:
    """%page NAME: shows an object in full."""
    value = _found(call) if call.text else call.namespace.get("_")
    print(value)


# What has been run


def _cells(call: Call, text: str) -> List[Tuple[int, str]]:
    """The numbers and the sources of cells: ``3 5-7`` or (without numbers) all before this one."""
    cells = call.namespace.get("In")
    if not isinstance(cells, list):
        return []
    last = len(cells) - 1
    numbers = []  # type: List[int]
    for word in text.split():
        first, dash, end = word.partition("-")
        if not first.isdigit() or (dash and end and not end.isdigit()):
            raise UsageError("%%%s: %s is no number of a cell, nor a range such as 2-5" % (call.name, word))
        numbers += range(int(first), (int(end) if end else last - 1 if dash else int(first)) + 1)
    if not text.strip():
        numbers = list(range(1, last))
    return [(number, cells[number]) for number in numbers if 0 < number <= last]


@line_magic("history", "hist")
def history(call: Call) -> None:
    """%history [-n] [-o] [CELL | FIRST-LAST …]: prints cells, -n with their numbers, -o with their results."""
    flags = call.flags("no")
    results = call.namespace.get("Out")
    for number, source in _cells(call, call.text):
        print(("%4d: " % number if "n" in flags else "") + source)
        if "o" in flags and isinstance(results, dict) and number in results:
            print(introspection.short_repr(results[number]))


@line_magic("save")
def save(call: Call) -> None:
    """%save [-a] FILE [CELL | FIRST-LAST …]: writes cells into a program; with -a adds them at its end."""
    append = "a" in call.flags("af")
    words = call.text.split()
    if not words:
        raise UsageError("%save needs a file name")
    path = os.path.expanduser(words[0] if "." in os.path.basename(words[0]) else words[0] + ".py")
    sources = [source for _, source in _cells(call, " ".join(words[1:]))]
    with open(path, "a" if append else "w", encoding="utf-8") as file:
        file.write("".join(source.rstrip("\n") + "\n" for source in sources))
    print("Written into %s: %d cell%s" % (path, len(sources), "" if len(sources) == 1 else "s"))
