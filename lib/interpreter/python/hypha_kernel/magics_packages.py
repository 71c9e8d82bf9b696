"""``%pip`` and ``%conda``."""

import os
import shlex
import sys
from typing import Dict, List, Set

from . import overlay
from .magics_registry import Call, UsageError, line_magic
from .magics_shell import run

_CHANGING = ("install", "uninstall")


@line_magic("pip")
def pip(call: Call) -> None:
    """%pip install NAME …: runs pip. Packages go into the session's own overlay, never into its environment."""
    words = shlex.split(call.text)
    changing = any(word in _CHANGING for word in words)
    layer = overlay.current
    if changing and layer is None:
        raise UsageError("%pip cannot change packages here: this session has no directory for them")
    if "uninstall" in words and not {"-y", "--yes"} & set(words):
        # Nobody is there to confirm.
        words.append("--yes")
    before = layer.distributions() if layer else {}
    imported = set(sys.modules)
    code = run([sys.executable, "-m", "pip"] + words)
    call.namespace["_exit_code"] = code
    if changing and layer is not None:
        _report_replaced(layer.distributions(), before, imported)


def _report_replaced(after: Dict[str, str], before: Dict[str, str], imported: Set[str]) -> None:
    """Says which modules in use have another version on disk now."""
    replaced = set()  # type: Set[str]
    for name in after:
        if name not in before:
            replaced |= _top_level(os.path.join(after[name], name)) & imported
    if replaced:
        print(
            "Note: restart the session to use what was installed of %s: imported before, and still the old one."
            % ", ".join(sorted(replaced))
        )


def _top_level(folder: str) -> Set[str]:
    """The modules a distribution brings, by its list of files."""
    found = set()  # type: Set[str]
    try:
        with open(os.path.join(folder, "RECORD"), encoding="utf-8") as file:
            paths = [line.partition(",")[0].strip('"') for line in file]
    except OSError:
        return found
    for path in paths:
        first, _, rest = path.partition("/")
        if rest and "." not in first:
            found.add(first)
        elif not rest and first.endswith((".py", ".so")):
            found.add(first.partition(".")[0])
    return found


@line_magic("conda", "mamba", "micromamba")
def conda(call: Call) -> None:
    """%conda: explains where conda packages are asked for; a session does not change its environment."""
    words = call.text.split()  # type: List[str]
    names = [word for word in words[1:] if not word.startswith("-")]
    wanted = ", ".join(names) if words[:1] == ["install"] and names else "the packages you need"
    raise UsageError(
        "%%%s is not available: a session's environment is shared and does not change. Add %s to the "
        "`dependencies` of the app (conda packages, e.g. - numpy=2), which gives it an environment that has "
        "them; `%%pip install` adds Python packages to this session only" % (call.name, wanted)
    )
