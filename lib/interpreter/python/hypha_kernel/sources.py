"""What the source of a cell is good for after it has run: reading it back, and telling new processes about it.

``inspect`` finds the file of a class through the file of its module, and cells have none. Processes that
``multiprocessing`` spawns import the main program to find functions, and there is none to import either.
"""

import inspect
import linecache
import os
import re
import types
from typing import Any, Dict, Optional

from . import FOLDER

_find_file = inspect.getfile

#: Imported by spawned processes in place of a main program.
SPAWNED_MAIN = os.path.join(FOLDER, "spawned_main.py")


def install() -> None:
    """Lets ``inspect`` find classes of cells."""
    inspect.getfile = _getfile  # type: ignore[assignment]


def _getfile(object: Any) -> str:
    try:
        return _find_file(object)
    except (OSError, TypeError):
        found = _cell_of(object) if isinstance(object, type) else None
        if found is None:
            raise
        return found


def _cell_of(cls: type) -> Optional[str]:
    """The name of the cell that defines a class: where its methods are from, else the last that has the name."""
    if cls.__module__ != "__main__":
        return None
    for value in vars(cls).values():
        code = getattr(getattr(value, "__func__", getattr(value, "fget", value)), "__code__", None)
        if isinstance(code, types.CodeType) and code.co_filename in linecache.cache:
            if code.co_qualname.startswith(cls.__qualname__) if hasattr(code, "co_qualname") else True:
                return code.co_filename
    pattern = re.compile(r"^[ \t]*class[ \t]+%s\b" % re.escape(cls.__name__), re.MULTILINE)
    for name, entry in reversed(list(linecache.cache.items())):
        # Cells have no modification time.
        if len(entry) == 4 and entry[1] is None and pattern.search("".join(entry[2])):
            return name
    return None


def spawn_imported(spawn: types.ModuleType) -> None:
    """Called when ``multiprocessing.spawn`` has been imported: new processes learn that there were cells."""
    prepare = spawn.get_preparation_data  # type: ignore[attr-defined]

    def get_preparation_data(name: str) -> Dict[str, Any]:
        data = prepare(name)  # type: Dict[str, Any]
        if "init_main_from_path" not in data and "init_main_from_name" not in data:
            data["init_main_from_path"] = SPAWNED_MAIN
        return data

    setattr(spawn, "get_preparation_data", get_preparation_data)
