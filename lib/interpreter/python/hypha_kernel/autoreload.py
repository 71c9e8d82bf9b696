"""``%autoreload``: modules whose files have changed are loaded again before a cell runs.

What was imported from them by name goes on to work: functions get their new code, classes their new methods, and
objects that exist already are of the new class.
"""

import gc
import importlib
import os
import sys
import types
from typing import Any, Dict, Optional, Set

from .formatters import report


class Reloader:
    """Watches the files of modules."""

    def __init__(self) -> None:
        #: 0: nothing is reloaded; 1: what is wanted; 2: everything but what is excluded.
        self.mode = 0
        self.wanted = set()  # type: Set[str]
        self.excluded = {"__main__", "__mp_main__"}
        self._times = {}  # type: Dict[str, float]

    def start(self, mode: int) -> None:
        """Reloads from now on what changes from now on."""
        self.mode = mode
        for module in list(sys.modules.values()):
            self._changed(module)

    def before_cell(self, *_args: Any) -> None:
        """Called before each cell."""
        if self.mode:
            self.check(self.mode == 2)

    def check(self, everything: bool) -> None:
        """Reloads what has changed. A module that fails is reported, and stays as it was."""
        for name, module in sorted(sys.modules.items()):
            if name in self.excluded or not (everything or name in self.wanted):
                continue
            if not self._changed(module):
                continue
            try:
                _reload(module)
            except Exception as error:
                print("[autoreload of %s failed]" % name, file=sys.stderr)
                report(error)

    def _changed(self, module: Any) -> bool:
        """Whether the file is newer than when it was looked at last; the first look says no."""
        path = _source_of(module)
        if path is None:
            return False
        try:
            time = os.stat(path).st_mtime
        except OSError:
            return False
        before = self._times.setdefault(path, time)
        self._times[path] = time
        return time != before


def _source_of(module: Any) -> Optional[str]:
    try:
        path = module.__file__
        return path if isinstance(path, str) and path.endswith(".py") else None
    except Exception:
        return None


def _reload(module: types.ModuleType) -> None:
    before = dict(module.__dict__)
    # Bytecode is told from another by its whole second, so a second change within it would not be seen.
    cached = getattr(module, "__cached__", None)
    if isinstance(cached, str):
        try:
            os.remove(cached)
        except OSError:
            pass
    importlib.reload(module)
    session = sys.modules["__main__"].__dict__
    for name, old in before.items():
        new = module.__dict__.get(name)
        if new is None or new is old or getattr(old, "__module__", None) != module.__name__:
            continue
        _update(old, new)
        session.update({known: new for known, value in session.items() if value is old})


def _update(old: Any, new: Any) -> None:
    if isinstance(old, types.FunctionType) and isinstance(new, types.FunctionType):
        for name in ("__code__", "__defaults__", "__kwdefaults__", "__doc__", "__dict__"):
            try:
                setattr(old, name, getattr(new, name))
            except (AttributeError, TypeError, ValueError):
                # Code with other free variables does not fit.
                pass
    elif isinstance(old, type) and isinstance(new, type):
        _update_class(old, new)
    elif isinstance(old, property) and isinstance(new, property):
        for one, other in ((old.fget, new.fget), (old.fset, new.fset), (old.fdel, new.fdel)):
            _update(one, other)
    elif isinstance(old, (classmethod, staticmethod)) and type(old) is type(new):
        _update(old.__func__, new.__func__)


def _update_class(old: type, new: type) -> None:
    for name, value in list(vars(old).items()):
        if name in vars(new):
            _update(value, vars(new)[name])
        elif not name.startswith("__"):
            _quietly(delattr, old, name)
    for name, value in list(vars(new).items()):
        if name not in ("__dict__", "__weakref__"):
            _quietly(setattr, old, name, value)
    for one in gc.get_referrers(old):
        if type(one) is old:
            _quietly(object.__setattr__, one, "__class__", new)


def _quietly(action: Any, *args: Any) -> None:
    try:
        action(*args)
    except (AttributeError, TypeError):
        pass


#: The reloader of this session.
RELOADER = Reloader()
