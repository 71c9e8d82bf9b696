"""Finds the CPython interpreters of this machine, oldest first.

    python interpreters.py      prints them as JSON lines

Looks on PATH and among the versions of pyenv. What is returned is the real executable behind shims,
links and virtual environments, because a `python` package that points at a shim breaks with the shim.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple

OLDEST = (3, 8)

PROBE = """
import os, platform, sys
exe = os.path.join(sys.base_prefix, 'bin', 'python%d.%d' % sys.version_info[:2])
ok = platform.python_implementation() == 'CPython' and sys.version_info.releaselevel == 'final'
print(os.path.realpath(exe) if ok and os.path.exists(exe) else '', '%d.%d.%d' % sys.version_info[:3])
"""


class Interpreter(NamedTuple):
    """A CPython of this machine."""

    path: str
    version: str
    major: int
    minor: int


def candidates() -> Iterator[str]:
    """Executables that may be interpreters, the same one possibly under several names."""
    pattern = re.compile(r"python3\.\d+$")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    folders = sorted(pyenv.glob("*/bin")) if pyenv.is_dir() else []
    folders += [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    for folder in folders:
        # A shim runs whatever version happens to be selected; the versions themselves are listed above.
        if folder.name == "shims" or not folder.is_dir():
            continue
        for file in sorted(folder.iterdir()):
            if pattern.match(file.name) and os.access(file, os.X_OK):
                yield str(file)
    yield sys.executable


def find() -> List[Interpreter]:
    """The interpreters from `OLDEST` on, one per version."""
    seen, found = set(), {}
    for candidate in candidates():
        real = os.path.realpath(candidate)
        if real in seen:
            continue
        seen.add(real)
        try:
            probe = subprocess.run(
                [candidate, "-I", "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        path, _, version = probe.stdout.decode().strip().rpartition(" ")
        if probe.returncode != 0 or not path:
            continue
        major, minor, _ = (int(part) for part in version.split("."))
        if (major, minor) >= OLDEST:
            found.setdefault(version, Interpreter(path, version, major, minor))
    return sorted(found.values(), key=lambda it: [int(part) for part in it.version.split(".")])


if __name__ == "__main__":
    for interpreter in find():
        print(json.dumps(interpreter._asdict()))
