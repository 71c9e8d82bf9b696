"""How values of the standard types are laid out as plain text; the layout itself is in ``pretty.py``."""

import inspect
import os
import re
import types
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from .pretty import Printer, TypePrinter, by_repr


def _sequence(opening: str, closing: str) -> TypePrinter:
    def show(value: Any, printer: Printer, cycle: bool) -> None:
        if cycle:
            printer.text(opening + "..." + closing)
            return
        if isinstance(value, (set, frozenset)):
            if not value:
                printer.text(type(value).__name__ + "()")
                return
            items = _ordered(value) if len(value) < printer.max_seq_length else value  # type: Any
        else:
            items = value
        with printer.group(len(opening), opening, closing):
            for index, item in printer._enumerate(items):
                if index:
                    printer.text(",")
                    printer.breakable()
                printer.pretty(item)
            if isinstance(value, tuple) and len(value) == 1:
                printer.text(",")

    return show


def _ordered(items: Iterable[Any]) -> List[Any]:
    """Sets have no order worth keeping; a predictable one is better."""
    for key in (None, str):
        try:
            return sorted(items, key=key)  # type: ignore[type-var, arg-type]
        except Exception:
            continue
    return list(items)


def _mapping(opening: str, closing: str) -> TypePrinter:
    def show(value: Any, printer: Printer, cycle: bool) -> None:
        if cycle:
            printer.text("{...}")
            return
        with printer.group(len(opening), opening, closing):
            for index, key in printer._enumerate(value.keys()):
                if index:
                    printer.text(",")
                    printer.breakable()
                printer.pretty(key)
                printer.text(": ")
                printer.pretty(value[key])

    return show


class _Raw:
    def __init__(self, text: str) -> None:
        self.raw = text

    def _repr_pretty_(self, printer: Printer, _cycle: bool) -> None:
        printer.text(self.raw)


def _call(printer: Printer, name: str, args: Iterable[Any], named: Optional[Dict[str, Any]] = None) -> None:
    """A value in the form of the call that makes it."""
    with printer.group(len(name) + 1, name + "(", ")"):
        for index, (key, arg) in enumerate([("", arg) for arg in args] + list((named or {}).items())):
            if index:
                printer.text(",")
                printer.breakable()
            if key:
                with printer.group(len(key) + 1, key + "="):
                    printer.pretty(arg)
            else:
                printer.pretty(arg)


def _made_by(arguments: Callable[[Any], Tuple[List[Any], Dict[str, Any]]], name: str = "") -> TypePrinter:
    def show(value: Any, printer: Printer, cycle: bool) -> None:
        args, named = ([_Raw("...")], {}) if cycle else arguments(value)
        _call(printer, name or type(value).__name__, args, named)

    return show


def _exception(value: Any, printer: Printer, _cycle: bool) -> None:
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else "%s.%s" % (cls.__module__, cls.__qualname__)
    _call(printer, name, value.args)


def _class(value: Any, printer: Printer, _cycle: bool) -> None:
    if [cls for cls in type(value).__mro__ if "__repr__" in vars(cls)][:1] != [type]:
        by_repr(value, printer)
        return
    module = getattr(value, "__module__", None)
    name = value.__qualname__
    printer.text(name if module in (None, "builtins") else "%s.%s" % (module, name))


def _function(value: Any, printer: Printer, _cycle: bool) -> None:
    name = getattr(value, "__qualname__", value.__name__)
    if value.__module__ and value.__module__ != "builtins":
        name = "%s.%s" % (value.__module__, name)
    try:
        name += str(inspect.signature(value))
    except ValueError:
        pass
    printer.text("<function %s>" % name)


def _pattern(value: Any, printer: Printer, _cycle: bool) -> None:
    text = repr(value.pattern)
    args = [_Raw("r" + text.replace("\\\\", "\\"))]
    names = ("IGNORECASE", "LOCALE", "MULTILINE", "DOTALL", "UNICODE", "VERBOSE", "DEBUG")
    flags = ["re." + name for name in names if value.flags & getattr(re, name)]
    _call(printer, "re.compile", args + ([_Raw("|".join(flags))] if value.flags else []))


def _super(value: Any, printer: Printer, _cycle: bool) -> None:
    with printer.group(8, "<super: ", ">"):
        printer.pretty(value.__thisclass__)
        printer.text(",")
        printer.breakable()
        printer.pretty(value.__self__)


def standard_printers() -> Dict[type, TypePrinter]:
    """The printers of built-in types."""
    printers = {
        tuple: _sequence("(", ")"),
        list: _sequence("[", "]"),
        set: _sequence("{", "}"),
        frozenset: _sequence("frozenset({", "})"),
        dict: _mapping("{", "}"),
        types.MappingProxyType: _mapping("mappingproxy({", "})"),
        type(os.environ): _mapping("environ{", "}"),
        type(re.compile("")): _pattern,
        type: _class,
        types.FunctionType: _function,
        types.BuiltinFunctionType: _function,
        types.SimpleNamespace: _made_by(lambda value: ([], value.__dict__), "namespace"),
        super: _super,
        BaseException: _exception,
    }  # type: Dict[type, TypePrinter]
    by = (int, float, str, bytes, range, slice, types.MethodType)
    printers.update({cls: by_repr for cls in by})
    return printers


def standard_deferred() -> Dict[Tuple[str, str], TypePrinter]:
    """The printers of types that are known by name."""
    return {
        ("collections", "defaultdict"): _made_by(lambda value: ([value.default_factory, dict(value)], {})),
        ("collections", "OrderedDict"): _made_by(lambda value: ([list(value.items())] if value else [], {})),
        ("collections", "deque"): _made_by(
            lambda value: ([list(value)], {} if value.maxlen is None else {"maxlen": value.maxlen})
        ),
        ("collections", "Counter"): _made_by(lambda value: ([dict(value.most_common())] if value else [], {})),
        ("collections", "UserList"): _made_by(lambda value: ([value.data], {})),
        ("datetime", "datetime"): by_repr,
        ("datetime", "timedelta"): by_repr,
    }
