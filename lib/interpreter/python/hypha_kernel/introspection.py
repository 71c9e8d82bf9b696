"""What editors ask of a session: completion, inspection, the list of variables (Jupyter's ``complete_request``
and ``inspect_request``)."""

import importlib.util
import inspect
import keyword
import re
import reprlib
import types
from typing import Any, Dict, List, Optional, Tuple

Namespace = Dict[str, Any]

_TOKEN = re.compile(r"[^\W\d][\w.]*$")
_NAME = re.compile(r"[^\W\d][\w.]*")
MAX_MATCHES = 500
MAX_TEXT = 100000
#: Objects are shown cut, and a representation that fails does not hide the others.
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 120
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 8


def complete(namespace: Namespace, code: str, cursor: int) -> Dict[str, Any]:
    """Completions at a position: ``matches``, ``cursor_start``, ``cursor_end`` and their types."""
    cursor = max(0, min(cursor, len(code)))
    found = _jedi(namespace, code, cursor)
    if found is None:
        found = _rlcompleter(namespace, code, cursor)
    matches, start, kinds = found
    return {
        "status": "ok",
        "matches": matches[:MAX_MATCHES],
        "cursor_start": start,
        "cursor_end": cursor,
        "metadata": {
            "_jupyter_types_experimental": [
                {"text": text, "type": kind, "start": start, "end": cursor}
                for text, kind in list(zip(matches, kinds))[:MAX_MATCHES]
            ]
        },
    }


def _jedi(
    namespace: Namespace, code: str, cursor: int
) -> Optional[Tuple[List[str], int, List[str]]]:
    """Completions by jedi, when the environment has it."""
    try:
        if importlib.util.find_spec("jedi") is None:
            return None
        import jedi  # type: ignore[import-not-found]

        before = code[:cursor]
        line = before.count("\n") + 1
        column = cursor - (before.rfind("\n") + 1)
        found = jedi.Interpreter(code, [namespace]).complete(line, column)
        if not found:
            return None
        prefix = len(found[0].name) - len(found[0].complete)
        return (
            [item.name for item in found],
            cursor - prefix,
            [item.type for item in found],
        )
    except Exception:
        # Half-written code, or an object that jedi cannot follow.
        return None


def _rlcompleter(
    namespace: Namespace, code: str, cursor: int
) -> Tuple[List[str], int, List[str]]:
    token = _TOKEN.search(code[:cursor])
    if token is None:
        return [], cursor, []
    text = token.group()
    # It imports readline, which no session needs for anything else.
    import rlcompleter

    completer = rlcompleter.Completer(namespace)
    matches = []  # type: List[str]
    for state in range(MAX_MATCHES):
        try:
            match = completer.complete(text, state)
        except Exception:
            break
        if match is None:
            break
        name = match.rstrip("( :")
        if name not in matches:
            matches.append(name)
    kinds = ["keyword" if keyword.iskeyword(name) else "name" for name in matches]
    return matches, token.start(), kinds


def lookup(namespace: Namespace, name: str) -> Any:
    """The object of a dotted name, found without calling anything but attribute lookups."""
    first, *rest = name.split(".")
    if first in namespace:
        value = namespace[first]
    else:
        builtins = namespace["__builtins__"]
        value = getattr(builtins, first)
    for part in rest:
        value = getattr(value, part)
    return value


def _name_at(code: str, cursor: int) -> Optional[str]:
    """The dotted name around a position, up to the part under it; inside of a call's brackets the function's."""
    for match in _NAME.finditer(code):
        if match.start() <= cursor <= match.end():
            end = code.find(".", cursor, match.end())
            return code[match.start() : end if end >= 0 else match.end()]
    opened = code.rfind("(", 0, cursor)
    token = _TOKEN.search(code[:opened]) if opened > 0 else None
    return token.group() if token else None


def describe(namespace: Namespace, code: str, cursor: int, detail: int) -> Dict[str, Any]:
    """What is known of the object at a position; ``detail`` 1 adds its source."""
    name = _name_at(code, max(0, min(cursor, len(code))))
    missing = {"status": "ok", "found": False, "data": {}, "metadata": {}}  # type: Dict[str, Any]
    if not name:
        return missing
    try:
        value = lookup(namespace, name.rstrip("."))
    except Exception:
        return missing
    return {
        "status": "ok",
        "found": True,
        "data": {"text/plain": _text_of(name, value, detail)[:MAX_TEXT]},
        "metadata": {},
    }


def _text_of(name: str, value: Any, detail: int) -> str:
    parts = []  # type: List[str]
    if callable(value):
        try:
            parts.append("Signature: %s%s" % (name, inspect.signature(value)))
        except (TypeError, ValueError):
            pass
    parts.append("Type: %s" % type(value).__name__)
    if not callable(value) and not isinstance(value, types.ModuleType):
        parts.append("Value: %s" % short_repr(value))
    try:
        document = inspect.getdoc(value)
    except Exception:
        document = None
    if document:
        parts.append("Docstring:\n%s" % document)
    if detail > 0:
        try:
            parts.append("Source:\n%s" % inspect.getsource(value))
        except (OSError, TypeError):
            pass
    return "\n".join(parts)


def short_repr(value: Any) -> str:
    """One line about a value, whatever its representation does."""
    try:
        text = _short.repr(value)
    except Exception as error:
        text = "<%s: repr() failed with %s>" % (type(value).__name__, type(error).__name__)
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200] + "…"


def variables(namespace: Namespace, given: List[str]) -> List[Dict[str, Any]]:
    """The user's variables: name, type, a short value, and size or shape where there is one."""
    found = []  # type: List[Dict[str, Any]]
    for name, value in list(namespace.items()):
        if name.startswith("_") or name in given:
            continue
        entry = {
            "name": name,
            "type": type(value).__name__,
            "module": type(value).__module__,
            "value": short_repr(value),
        }
        try:
            shape = getattr(value, "shape", None)
            if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
                entry["shape"] = list(shape)
            elif isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
                entry["length"] = len(value)
        except Exception:
            pass
        found.append(entry)
    return found
