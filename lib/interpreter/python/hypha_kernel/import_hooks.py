"""Lets the session have a word when user code imports certain modules, and never earlier.

Finders and loaders here do not derive from ``importlib.abc``: importing it takes a tenth of a first start, and Python
asks for nothing but the methods.
"""

import sys
from types import ModuleType
from typing import Any, Callable, Dict, Optional

from .formatters import report

Hook = Callable[[ModuleType], None]


class ImportHooks:
    """Calls a function right after a module has been executed, before its importer sees it."""

    def __init__(self) -> None:
        self._hooks = {}  # type: Dict[str, Hook]

    def install(self) -> None:
        """Starts watching imports."""
        sys.meta_path.insert(0, self)

    def after(self, name: str, hook: Hook) -> None:
        """Registers the function of a module. One that fails is reported and does not fail the import."""
        self._hooks[name] = hook

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Finds a watched module with the other finders, and watches it being executed."""
        hook = self._hooks.get(fullname)
        if hook is None:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Watched(spec.loader, hook)
                return spec
        return None


class _Watched:
    """A loader that calls a hook at the end; for everything else it is the loader it wraps."""

    def __init__(self, loader: Any, hook: Hook) -> None:
        self._loader = loader
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Optional[ModuleType]:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        # Code that looks at the module finds its own loader.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        try:
            self._hook(module)
        except Exception as error:
            report(error)
