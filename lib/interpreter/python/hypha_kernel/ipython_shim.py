"""What code finds that imports IPython or asks for ``get_ipython()``, in environments with IPython and without.

Without IPython a few modules are made up: ``IPython.display`` with its classes, ``get_ipython``, and where
libraries look for these. With IPython its own modules are used, and the functions that publish are replaced when
they are imported, since IPython's shell does not run here.
"""

import builtins
import contextlib
import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, Optional

from . import debugging, plotly_renderer, sources
from .display import FORMATTER, DisplayHandle, Publisher
from .import_hooks import ImportHooks
from .inline_figures import Figures
from .shell import ExecutionInfo, ExecutionResult, HyphaShell

_STUB = "__hypha_stub__"


class IPythonShim:
    """Puts the session in IPython's place."""

    def __init__(self, publisher: Publisher, figures: Figures, namespace: Dict[str, Any]) -> None:
        self._publisher = publisher
        self._figures = figures
        self._pid = os.getpid()
        self.shell = HyphaShell(publisher, namespace)
        self.hooks = ImportHooks()

    def install(self) -> None:
        """Makes the names available, and watches for the libraries that need a word."""
        DisplayHandle.publisher = self._publisher
        # Modules that the user writes find them as IPython gives them: among the built-in names.
        setattr(builtins, "get_ipython", self.get_ipython)
        setattr(builtins, "display", self._publisher.display)
        after = self.hooks.after
        after("IPython.core.getipython", self._replace_get_ipython)
        after("IPython.core.display_functions", self._replace_functions)
        # Before IPython 7.23 the functions were here.
        after("IPython.core.display", self._replace_functions)
        after("IPython.display", self._complete_display)
        after("IPython.core.interactiveshell", self._replace_shell)
        after("IPython.core.page", _replace_pager)
        after("matplotlib", self._figures.imported)
        after("pdb", debugging.imported)
        after("multiprocessing.spawn", sources.spawn_imported)
        sources.install()
        after("plotly.io._renderers", lambda module: plotly_renderer.install(module, self._publisher))
        after("plotly.basewidget", plotly_renderer.show_widgets)
        after("tqdm.notebook", _use_console_bars)
        self.hooks.install()
        sys.meta_path.append(_StubFinder(self._stubs()))

    def get_ipython(self) -> HyphaShell:
        """The shell of this session, as far as libraries need one."""
        return self.shell

    def begin_cell(self) -> None:
        """What precedes every cell. A warning of an earlier cell does not hide one of this."""
        self.shell.user_ns.pop("__warningregistry__", None)
        if self.shell.events.callbacks:
            self.shell.events.trigger("pre_execute")
            self.shell.events.trigger("pre_run_cell", ExecutionInfo())

    @property
    def has_more(self) -> bool:
        """Whether the end of the cell may show something."""
        return self._figures.pending or any(self.shell.events.callbacks.values())

    def end_cell(self) -> None:
        """What follows every cell, also one that failed."""
        if os.getpid() != self._pid:
            return
        debugging.end_cell()
        self._figures.flush()
        if self.shell.events.callbacks:
            self.shell.events.trigger("post_execute")
            self.shell.events.trigger("post_run_cell", ExecutionResult())

    # With IPython

    def _functions(self) -> Dict[str, Any]:
        publisher = self._publisher
        return {
            "display": publisher.display,
            "update_display": publisher.update_display,
            "clear_output": publisher.clear_output,
            "publish_display_data": publisher.publish_display_data,
            "DisplayHandle": DisplayHandle,
        }

    def _replace_functions(self, module: ModuleType) -> None:
        for name, function in self._functions().items():
            if name in module.__dict__:
                setattr(module, name, function)

    def _complete_display(self, module: ModuleType) -> None:
        self._replace_functions(module)
        # Gone from IPython since version 9, and still in many notebooks.
        module.__dict__["set_matplotlib_formats"] = self._figures.set_formats
        module.__dict__["set_matplotlib_close"] = self._figures.set_close

    def _replace_get_ipython(self, module: ModuleType) -> None:
        setattr(module, "get_ipython", self.get_ipython)

    def _replace_shell(self, module: ModuleType) -> None:
        """The one shell that ``InteractiveShell.instance()`` gives is this session's; its subclasses stay."""
        cls = module.InteractiveShell  # type: ignore[attr-defined]
        initialized, instance, shell = cls.initialized, cls.instance, self.shell

        def is_initialized(asked: Any) -> bool:
            return True if asked is cls else initialized.__func__(asked)

        def the_instance(asked: Any, *args: Any, **options: Any) -> Any:
            return shell if asked is cls else instance.__func__(asked, *args, **options)

        cls.initialized = classmethod(is_initialized)
        cls.instance = classmethod(the_instance)

    # Without IPython

    def _stubs(self) -> Dict[str, Callable[[], Dict[str, Any]]]:
        def of_ipython() -> Dict[str, Any]:
            from importlib import import_module

            return {
                "__version__": "9.0.0",
                "version_info": (9, 0, 0, ""),
                "get_ipython": self.get_ipython,
                "InteractiveShell": import_module("IPython.core.interactiveshell").InteractiveShell,
                "display": import_module("IPython.display"),
            }

        def of_display() -> Dict[str, Any]:
            names = dict(self._functions(), **_classes())
            names["set_matplotlib_formats"] = self._figures.set_formats
            names["set_matplotlib_close"] = self._figures.set_close
            for kind, mime in _KINDS.items():
                names["display_" + kind] = _display_of(self._publisher, mime)
            return names

        shell = self.shell

        class InteractiveShell:
            """Stands for the class that libraries ask for the running shell."""

            @classmethod
            def initialized(cls) -> bool:
                return True

            @classmethod
            def instance(cls, *_args: Any, **_options: Any) -> Any:
                return shell

        def nothing() -> Dict[str, Any]:
            return {}

        return {
            "IPython": of_ipython,
            "IPython.display": of_display,
            "IPython.core": nothing,
            "IPython.core.display": of_display,
            "IPython.core.display_functions": self._functions,
            "IPython.core.getipython": lambda: {"get_ipython": self.get_ipython},
            "IPython.core.interactiveshell": lambda: {"InteractiveShell": InteractiveShell},
            "IPython.core.formatters": lambda: {"format_display_data": FORMATTER.format},
            "IPython.utils": nothing,
            "IPython.utils.capture": lambda: {"capture_output": _capture_of(self._publisher)},
            "IPython.utils.io": lambda: {"capture_output": _capture_of(self._publisher)},
            "IPython.lib": nothing,
            "IPython.lib.display": of_display,
        }


def _replace_pager(module: ModuleType) -> None:
    """There is no pager to scroll in: text goes to the output of the cell."""

    def page(strng: Any, *_args: Any, **_options: Any) -> None:
        print(strng.get("text/plain", "") if isinstance(strng, dict) else strng)

    setattr(module, "page", page)


def _use_console_bars(module: ModuleType) -> None:
    """Progress bars of Jupyter's widgets would never move where no client draws widgets."""
    from tqdm import std

    for name in ("tqdm_notebook", "tqdm", "tqdm_n"):
        if name in module.__dict__:
            setattr(module, name, std.tqdm)
    for name in ("tnrange", "trange"):
        if name in module.__dict__:
            setattr(module, name, std.trange)


_KINDS = {
    "pretty": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
    "pdf": "application/pdf",
}


def _display_of(publisher: Publisher, mime: str) -> Callable[..., None]:
    """``display_html`` and its kin."""

    def display_kind(*objs: Any, raw: bool = False, metadata: Any = None) -> None:
        values = [{mime: one} for one in objs] if raw else objs
        extra = {mime: metadata} if metadata else None
        publisher.display(*values, raw=raw, metadata=extra, include=[mime])

    return display_kind


def _capture_of(publisher: Publisher) -> Callable[..., Any]:
    """``capture_output()``: what is printed and shown inside of the context is kept instead."""
    from .magics_cells import CapturedIO, captured_output

    @contextlib.contextmanager
    def capture_output(stdout: bool = True, stderr: bool = True, display: bool = True) -> Iterator[Any]:
        wanted = {"no-stdout": stdout, "no-stderr": stderr, "no-display": display}
        captured = CapturedIO()
        with captured_output(publisher, [name for name, on in wanted.items() if not on], captured):
            yield captured

    return capture_output


def _classes() -> Dict[str, Any]:
    """The display classes, under the names they have in IPython: these stand in the text of their values."""
    # Imported here: most sessions never need them.
    from . import display_objects, display_widgets

    found = {}  # type: Dict[str, Any]
    homes = ((display_objects, "IPython.core.display"), (display_widgets, "IPython.lib.display"))
    for module, name in homes:
        for key, value in vars(module).items():
            ours = isinstance(value, type) and value.__module__ in (module.__name__, name)
            if ours and not key.startswith("_"):
                value.__module__ = name
                found[key] = value
    return found


class _StubFinder:
    """Serves the made-up modules. Stands last, so an installed IPython goes before it."""

    def __init__(self, stubs: Dict[str, Callable[[], Dict[str, Any]]]) -> None:
        self._stubs = stubs

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname not in self._stubs:
            return None
        if fullname != "IPython" and not hasattr(sys.modules.get("IPython"), _STUB):
            return None
        package = any(name.startswith(fullname + ".") for name in self._stubs)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=package)

    def create_module(self, spec: Any) -> Optional[ModuleType]:
        return None

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, _STUB, True)
        module.__doc__ = "Stands for the module of IPython, which this environment does not have."
        module.__dict__.update(self._stubs[module.__name__]())
