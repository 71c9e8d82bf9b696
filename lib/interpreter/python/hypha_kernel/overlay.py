"""The overlay: where packages go that the code of a session installs.

An environment is shared by sessions and stays as it was built. So every session has a virtual environment on top
of it, made by hand in a few milliseconds: its ``python`` and ``pip`` are the first on ``PATH`` and
``sys.executable``, so ``%pip``, ``!pip``, ``subprocess`` and even ``uv`` install there without being told. Being
a virtual environment is what makes it safe: pip counts the environment's packages as installed, and never removes
what lies outside of its own prefix, as ``--prefix`` does and ``--target`` cannot know. A newer version hides the
environment's.
"""

import importlib
import os
import shlex
import site
import sys
from typing import Dict, List, Optional, Tuple

#: Settings that would send packages elsewhere.
_MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PYTHONHOME")
#: Started by a shell because a path may be too long for ``#!``.
_PIP = """#!/bin/sh
'''exec' "${0%/*}/python" "$0" "$@"
' '''
import runpy
import sys
sys.path[0:1] = []
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
#: The package managers of conda, by their names before the real ones: what would change the environment is refused.
_CONDA = """#!/bin/sh
name=${0##*/}
command= place= last=
for word; do
  case $last in -p|--prefix|-n|--name) place=$word; last=; continue ;; esac
  case $word in
    --prefix=*|--name=*) place=${word#*=} ;;
    -*|env) ;;
    *) command=${command:-$word} ;;
  esac
  last=$word
done
case $command in install|update|upgrade|remove|uninstall|rename) changes=$command ;; *) changes= ;; esac
if [ -n "$changes" ] && { [ -z "$place" ] || [ "$place" -ef ENVIRONMENT ]; }; then
  echo "$name $changes: the environment of a session is shared and does not change. Add what you need to the" \
    "dependencies of the app, which gives it an environment that has it; %pip install adds Python packages to" \
    "this session only." >&2
  exit 1
fi
own=$(cd "${0%/*}" && pwd)
path=
IFS=:
for folder in $PATH; do
  [ "$folder" -ef "$own" ] || path=$path:$folder
done
unset IFS
if found=$(PATH=$path command -v "$name"); then
  exec "$found" "$@"
fi
echo "$name: there is no such program in this session" >&2
exit 127
"""


class Overlay:
    """The overlay of this session."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.bin = os.path.join(directory, "bin")
        self.python = os.path.join(self.bin, "python")
        # Not asked of sysconfig: that takes longer than all the rest.
        version = "python%d.%d" % sys.version_info[:2] + ("t" if "t" in sys.abiflags else "")
        self.sites = []  # type: List[str]
        for library in ("lib", getattr(sys, "platlibdir", "lib")):
            path = os.path.join(directory, library, version, "site-packages")
            if path not in self.sites:
                self.sites.append(path)
        #: The environment's own interpreter.
        self._environment = sys.executable
        #: The path files that have been read, and when they were written.
        self._read = {}  # type: Dict[str, Tuple[int, int]]

    def make(self) -> None:
        """Writes the virtual environment; one that is there stays.

        Every session does this, so there are as few files as can be; pip makes the site directory itself.
        """
        os.makedirs(self.bin, exist_ok=True)
        for name in ("python", "python3", "python%d.%d" % sys.version_info[:2]):
            _link(self._environment, os.path.join(self.bin, name))
        _write(os.path.join(self.bin, "pip"), _PIP, 0o755)
        _link("pip", os.path.join(self.bin, "pip3"))
        conda = _CONDA.replace("ENVIRONMENT", shlex.quote(sys.prefix))
        _write(os.path.join(self.bin, "conda"), conda, 0o755)
        for name in ("mamba", "micromamba"):
            _link("conda", os.path.join(self.bin, name))
        base = getattr(sys, "_base_executable", None) or self._environment
        nested = sys.prefix != sys.base_prefix
        whole = not nested or any(path.startswith(sys.base_prefix + os.sep) for path in _site_paths())
        _write(
            os.path.join(self.directory, "pyvenv.cfg"),
            "home = %s\ninclude-system-site-packages = %s\nversion = %d.%d.%d\n"
            % ((os.path.dirname(base), "true" if whole else "false") + sys.version_info[:3]),
        )
        if nested:
            # The environment is a virtual one itself, which Python does not look for below another.
            os.makedirs(self.sites[0], exist_ok=True)
            lines = ["import site; site.addsitedir(%r)\n" % path for path in site.getsitepackages()]
            _write(os.path.join(self.sites[0], "_environment.pth"), "".join(lines))

    def enter(self) -> None:
        """Puts the overlay before the environment, for this process and for those it starts."""
        for name in _MISLEADING:
            os.environ.pop(name, None)
        os.environ["PATH"] = self.bin + os.pathsep + os.environ.get("PATH", os.defpath)
        os.environ["VIRTUAL_ENV"] = self.directory
        # The environment's own pip, called by its path, refuses instead of changing what others use.
        os.environ["PIP_REQUIRE_VIRTUALENV"] = "1"
        # Importing must not write into the environment either.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
        sys.executable = self.python
        spawning = sys.modules.get("multiprocessing.spawn")
        if spawning is not None:
            spawning.set_executable(self.python)  # type: ignore[attr-defined]
        known = _site_paths()
        at = sys.path.index(known[0]) if known else len(sys.path)
        sys.path[at:at] = self.sites
        self._add_paths()

    def notice(self) -> None:
        """Makes packages importable that have just been installed; also those that add to ``sys.path``."""
        forget_directories()
        self._add_paths()

    def _add_paths(self) -> None:
        """Reads the path files that are new."""
        for path in self.sites:
            changed = False
            for name in _names(path):
                if not name.endswith(".pth") or name == "_environment.pth":
                    continue
                file = os.path.join(path, name)
                try:
                    status = os.stat(file)
                except OSError:
                    continue
                stamp = (status.st_mtime_ns, status.st_size)
                changed = changed or self._read.get(file) != stamp
                self._read[file] = stamp
            if changed:
                before = list(sys.path)
                site.addsitedir(path)
                added = [one for one in sys.path if one not in before]
                at = before.index(path) + 1 if path in before else 0
                sys.path[:] = before[:at] + added + before[at:]

    def distributions(self) -> Dict[str, str]:
        """What is installed here: folders of metadata, and the site directory each lies in."""
        return {
            name: path
            for path in self.sites
            for name in _names(path)
            if name.endswith((".dist-info", ".egg-info"))
        }


def _link(target: str, path: str) -> None:
    try:
        os.symlink(target, path)
    except FileExistsError:
        pass


def _write(path: str, text: str, mode: int = 0o644) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    try:
        os.write(file, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(file)


def _names(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _site_paths() -> List[str]:
    """The site directories on ``sys.path``."""
    return [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]


def forget_directories() -> None:
    """``importlib.invalidate_caches``, which would first import ``importlib.metadata`` with all that it needs."""
    if "importlib.metadata" in sys.modules:
        importlib.invalidate_caches()
        return
    for path, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[path]
        elif hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


#: The overlay of this process, once it is a session that has one.
current = None  # type: Optional[Overlay]


def set_up(directory: Optional[str]) -> None:
    """Gives this session its overlay; without a directory it has none."""
    global current
    if directory is not None:
        current = Overlay(directory)
        current.enter()


def make() -> None:
    """Makes the overlay of this session. Apart from ``set_up`` because making files takes as long as a start."""
    if current is not None:
        current.make()


def notice_installed() -> None:
    """Called when a program has run, which may have installed something."""
    if current is not None:
        current.notice()
    else:
        forget_directories()
