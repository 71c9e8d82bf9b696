"""MIME bundles of values, asked for in IPython's order and under its rules.

``_ipython_display_`` comes first, then ``_repr_mimebundle_``, then one method per type of content. Functions can
be registered for types that lack the methods; ``for_type`` and its kin have the names that libraries call on
``get_ipython().display_formatter``.
"""

import base64
import inspect
import sys
from types import MethodType
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from . import pretty, pretty_types, tracebacks

Bundle = Dict[str, Any]

#: Objects that answer to every name (mocks, proxies) also answer to this one, and are not asked further.
CANARY = "_ipython_canary_method_should_not_exist_"

_TEXT = (str,)
_BINARY = (bytes, bytearray, str)
#: MIME type, method, and what the method may return.
_METHODS = [
    ("text/html", "_repr_html_", _TEXT),
    ("text/markdown", "_repr_markdown_", _TEXT),
    ("image/svg+xml", "_repr_svg_", _TEXT),
    ("image/png", "_repr_png_", _BINARY),
    ("application/pdf", "_repr_pdf_", _BINARY),
    ("image/jpeg", "_repr_jpeg_", _BINARY),
    ("text/latex", "_repr_latex_", _TEXT),
    ("application/json", "_repr_json_", (list, dict)),
    ("application/javascript", "_repr_javascript_", _TEXT),
]  # type: List[Tuple[str, str, Tuple[type, ...]]]

_MISSING = object()

#: Types that cannot have display methods: most results are of one, and asking costs more than the cell.
_PLAIN = frozenset((int, float, complex, bool, str, bytes, type(None), list, tuple, dict, set, frozenset, range))


def method_of(value: Any, name: str) -> Optional[Callable[..., Any]]:
    """A display method of a value. Classes have only class methods; objects that fake attributes have none."""
    try:
        if getattr(value, CANARY, None) is not None:
            return None
        method = getattr(value, name, None)
        if inspect.isclass(value) and not isinstance(method, MethodType):
            return None
        return method if callable(method) else None
    except Exception:
        return None


def encodable(data: Any) -> Any:
    """Content as it travels: bytes as base64."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return base64.b64encode(data).decode("ascii")
    return data


def report(error: BaseException) -> None:
    """A formatter that fails says so on standard error, without the kernel's frames, and fails nothing else."""
    print("\n".join(tracebacks.describe(error)["traceback"]), file=sys.stderr)


def _mro_of(value: Any) -> Tuple[type, ...]:
    try:
        cls = getattr(value, "__class__", None)
        return cls.__mro__ if isinstance(cls, type) else type(value).__mro__
    except Exception:
        # An object that fails whatever it is asked for.
        return type(value).__mro__


class Formatter:
    """Makes one type of content: by a function registered for the type of the value, else by its method."""

    def __init__(self, format_type: str, print_method: str, return_type: Tuple[type, ...]) -> None:
        self.format_type = format_type
        self.print_method = print_method
        self.enabled = True
        #: Functions by type, and by module and name of types that may not be imported yet.
        self.type_printers = {}  # type: Dict[type, Callable[..., Any]]
        self.deferred_printers = {}  # type: Dict[Tuple[str, str], Callable[..., Any]]
        self._return_type = return_type

    def __call__(self, value: Any, **options: Any) -> Any:
        """The content, or ``None`` when the value has none of this type."""
        if not self.enabled or (type(value) in _PLAIN and not self.may_take_plain):
            return None
        try:
            answer = self._ask(value, **options)
        except NotImplementedError:
            return None
        except Exception as error:
            report(error)
            return None
        content = answer[0] if isinstance(answer, tuple) and answer else answer
        if content is None or isinstance(content, self._return_type):
            return answer
        expected = " or ".join(cls.__name__ for cls in self._return_type)
        print(
            "%s of %s returned %s, not %s, and is left out"
            % (self.print_method, type(value).__name__, type(content).__name__, expected),
            file=sys.stderr,
        )
        return None

    @property
    def may_take_plain(self) -> bool:
        """Whether a function may be registered for a type of ``_PLAIN``."""
        if self.type_printers:
            return True
        for module, _name in self.deferred_printers:
            if module == "builtins":
                return True
        return False

    def _ask(self, value: Any, **options: Any) -> Any:
        printer = self._registered(value)
        if printer is not None:
            return printer(value)
        method = method_of(value, self.print_method)
        return None if method is None else method(**options)

    def _registered(self, value: Any) -> Optional[Callable[..., Any]]:
        # Not by asking in the handler of what lookup() raises: errors would show it as their context.
        if not self.type_printers and not self.deferred_printers:
            return None
        try:
            return self.lookup(value)
        except KeyError:
            return None

    def lookup(self, value: Any) -> Callable[..., Any]:
        """The function registered for a value. Raises ``KeyError`` when there is none."""
        return self._find(_mro_of(value))

    def lookup_by_type(self, typ: Union[type, str]) -> Callable[..., Any]:
        """The function registered for a type or for ``"module.name"``. Raises ``KeyError`` for none."""
        if isinstance(typ, str):
            key = _key(typ)
            for cls, printer in self.type_printers.items():
                if (cls.__module__, cls.__name__) == key:
                    return printer
            return self.deferred_printers[key]
        return self._find(typ.__mro__)

    def __contains__(self, typ: Union[type, str]) -> bool:
        try:
            self.lookup_by_type(typ)
        except KeyError:
            return False
        return True

    def _find(self, mro: Tuple[type, ...]) -> Callable[..., Any]:
        for cls in mro:
            if cls in self.type_printers:
                return self.type_printers[cls]
            key = (getattr(cls, "__module__", ""), getattr(cls, "__name__", ""))
            if key in self.deferred_printers:
                return self.deferred_printers[key]
        raise KeyError(mro[0] if mro else None)

    def for_type(self, typ: Union[type, str], func: Optional[Callable[..., Any]] = None) -> Any:
        """Registers a function for a type (or ``"module.name"``); returns the one it had."""
        if isinstance(typ, str):
            return self.for_type_by_name(*_key(typ), func=func)
        old = self.type_printers.get(typ)
        if func is not None:
            self.type_printers[typ] = func
        return old

    def for_type_by_name(
        self, type_module: str, type_name: str, func: Optional[Callable[..., Any]] = None
    ) -> Any:
        """Registers a function for a type that need not be imported yet; returns the one it had."""
        old = self.deferred_printers.get((type_module, type_name))
        if func is not None:
            self.deferred_printers[(type_module, type_name)] = func
        return old

    def pop(self, typ: Union[type, str], default: Any = _MISSING) -> Any:
        """Removes what is registered for a type and returns it."""
        if isinstance(typ, str):
            key = _key(typ)
        else:
            key = (typ.__module__, typ.__name__)
            if typ in self.type_printers:
                return self.type_printers.pop(typ)
        old = self.deferred_printers.pop(key, default)
        if old is _MISSING:
            raise KeyError("No registered value for %r" % (typ,))
        return old


def _key(name: str) -> Tuple[str, str]:
    module, _, last = name.rpartition(".")
    return module, last


class PlainFormatter(Formatter):
    """Makes plain text; its functions take ``(value, printer, cycle)``, and it always has an answer."""

    def __init__(self) -> None:
        super().__init__("text/plain", "_repr_pretty_", _TEXT)
        self.type_printers.update(pretty_types.standard_printers())
        self.deferred_printers.update(pretty_types.standard_deferred())

    def __call__(self, value: Any, **_options: Any) -> Any:
        try:
            return pretty.plain_text(value, self.type_printers, self.deferred_printers)
        except RecursionError:
            # Its traceback would be a thousand lines that say the same.
            return "<%s object: nested too deeply to be shown>" % type(value).__name__
        except Exception as error:
            report(error)
            return "<%s object: its text failed with %s>" % (type(value).__name__, type(error).__name__)


class DisplayFormatter:
    """All forms of a value."""

    def __init__(self) -> None:
        plain = PlainFormatter()  # type: Formatter
        self.formatters = {plain.format_type: plain}
        for mime, method, types in _METHODS:
            self.formatters[mime] = Formatter(mime, method, types)
        self.ipython_display_formatter = Formatter("", "_ipython_display_", (object,))
        self.mimebundle_formatter = Formatter("", "_repr_mimebundle_", (dict,))

    @property
    def format_types(self) -> List[str]:
        """MIME types that are asked for."""
        return list(self.formatters)

    @property
    def active_types(self) -> List[str]:
        """MIME types that are switched on; setting it switches the others off."""
        return [mime for mime, formatter in self.formatters.items() if formatter.enabled]

    @active_types.setter
    def active_types(self, types: List[str]) -> None:
        for mime, formatter in self.formatters.items():
            formatter.enabled = mime in types

    def _has_functions(self) -> bool:
        """Whether other forms than plain text may have functions for plain values."""
        for one in (self.ipython_display_formatter, self.mimebundle_formatter):
            if one.may_take_plain:
                return True
        for mime, one in self.formatters.items():
            if one.may_take_plain and mime != "text/plain":
                return True
        return False

    def _displays_itself(self, value: Any) -> bool:
        formatter = self.ipython_display_formatter
        if formatter._registered(value) is None and (
            type(value) in _PLAIN or method_of(value, formatter.print_method) is None
        ):
            return False
        try:
            formatter._ask(value)
        except NotImplementedError:
            return False
        except Exception as error:
            report(error)
            return False
        return True

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Tuple[Bundle, Bundle]:
        """The MIME bundle of a value and its metadata. An empty bundle: the value displayed itself."""
        if type(obj) in _PLAIN and include is None and exclude is None:
            # Most results: nothing but functions that user code has registered can have a say.
            if not self._has_functions():
                return {"text/plain": self.formatters["text/plain"](obj)}, {}
        if self._displays_itself(obj):
            return {}, {}
        answer = self.mimebundle_formatter(obj, include=include, exclude=exclude)
        data, metadata = answer if isinstance(answer, tuple) else (answer, None)
        wanted = _filter(include, exclude)
        data = {mime: item for mime, item in (data or {}).items() if wanted(mime)}
        metadata = {mime: item for mime, item in (metadata or {}).items() if wanted(mime)}
        for mime, formatter in self.formatters.items():
            if not wanted(mime) or (mime in data and not _has_special(formatter, obj)):
                continue
            content = formatter(obj)
            extra = None
            if isinstance(content, tuple) and len(content) == 2:
                content, extra = content
            if content is not None:
                data[mime] = content
            if extra is not None:
                metadata[mime] = extra
        return {mime: encodable(item) for mime, item in data.items()}, metadata


def _filter(include: Any, exclude: Any) -> Callable[[str], bool]:
    return lambda mime: (not include or mime in include) and not (exclude and mime in exclude)


def _has_special(formatter: Formatter, value: Any) -> bool:
    """Whether a function registered for the type goes before the value's own bundle."""
    return formatter._registered(value) is not None
