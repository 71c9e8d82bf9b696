"""Extensions of IPython: modules with ``load_ipython_extension(shell)``, which register magics and events.

Most are written with IPython's own classes and need IPython in the environment. The shell they get is the
session's; their magics go into the session's table.
"""

import importlib
import sys
from typing import Any, Callable, Dict

from .magics_registry import CELLS, LINES, Call, Magic, UsageError

#: What has been loaded, by the name it was loaded by.
_loaded = {}  # type: Dict[str, Any]


def load(shell: Any, name: str, again: bool = False) -> None:
    """Loads an extension; ``UsageError`` says why it cannot be."""
    if name in _loaded and not again:
        print("The %s extension is already loaded. To reload it, use:\n  %%reload_ext %s" % (name, name))
        return
    if again and name in _loaded:
        unload(shell, name)
    module = _module(name, again)
    function = getattr(module, "load_ipython_extension", None)
    if function is None:
        raise UsageError("%s is no extension: it has no load_ipython_extension()" % name)
    with shell.being_extended():
        function(shell)
    _loaded[name] = module


def _module(name: str, again: bool) -> Any:
    if again and name in sys.modules:
        return importlib.reload(sys.modules[name])
    missing = None
    for full in (name, "IPython.extensions." + name):
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            missing = missing or error
    asked = str(missing.name or name) if missing is not None else name
    if asked.startswith("IPython") or (asked == name and "." not in name and _made_up()):
        advice = "the environment has no IPython, which extensions need: add ipython and the package to it"
    else:
        advice = "add the package that has it to the environment, or install it by %pip"
    if asked != name and not asked.startswith("IPython"):
        raise UsageError("Cannot load extension %s: it needs the module %s, which is not there" % (name, asked))
    raise UsageError("Cannot load extension %s: %s" % (name, advice))


def _made_up() -> bool:
    return importlib.util.find_spec("IPython.core.magic") is None  # type: ignore[attr-defined]


def unload(shell: Any, name: str) -> None:
    """Takes an extension out again, when it can do that."""
    module = _loaded.pop(name, None)
    if module is None:
        raise UsageError("The extension %s is not loaded" % name)
    function = getattr(module, "unload_ipython_extension", None)
    if function is None:
        print("The %s extension doesn't define how to unload it" % name)
    else:
        function(shell)


def register_function(function: Callable[..., Any], kind: str, name: str) -> None:
    """Puts a function of an extension into the tables: ``kind`` is line, cell, or line_cell."""
    verbatim = bool(getattr(function, "_ipython_magic_no_var_expand", False))

    def local_names(call: Call) -> Dict[str, Any]:
        wanted = getattr(function, "needs_local_scope", False)
        return {"local_ns": call.locals} if wanted else {}

    if kind in ("line", "line_cell"):

        def line(call: Call) -> Any:
            return function(call.text, **local_names(call))

        line.__doc__ = function.__doc__
        LINES[name] = Magic(line, verbatim)
    if kind in ("cell", "line_cell"):

        def cell(call: Call, body: str, _before: int) -> Any:
            return function(call.text, body, **local_names(call))

        cell.__doc__ = function.__doc__
        CELLS[name] = Magic(cell, verbatim)


def register_magics(shell: Any, *given: Any) -> None:
    """Puts what an extension's classes (or their instances) have into the tables."""
    for one in given:
        magics = one(shell) if isinstance(one, type) else one
        if magics not in shell.configurables and hasattr(magics, "trait_names"):
            shell.configurables.append(magics)
        for kind in ("line", "cell"):
            for name, function in magics.magics.get(kind, {}).items():
                bound = getattr(magics, function) if isinstance(function, str) else function
                register_function(bound, kind, name)
