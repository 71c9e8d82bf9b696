"""Line magics, but for those of time and of packages."""

import os
import shlex
import sys
import tokenize
import types
from typing import Any, Dict, List, Optional, Tuple

from . import introspection
from .magics_registry import CELLS, LINES, Call, UsageError, line_magic
from .magics_shell import SList, output, shell, run

# Files and directories


@line_magic("pwd")
def pwd(_call: Call) -> str:
    """%pwd: the working directory."""
    return os.getcwd()


@line_magic("cd")
def cd(call: Call) -> None:
    """%cd [-q] [DIRECTORY | -]: changes the working directory, without an argument to the home directory."""
    text = call.text
    quiet = text == "-q" or text.startswith("-q ")
    wanted = text[2:].strip() if quiet else text
    if len(wanted) > 1 and wanted[0] == wanted[-1] and wanted[0] in "'\"":
        wanted = wanted[1:-1]
    before = os.getcwd()
    visited = call.magics.directories
    if wanted == "-":
        if not visited:
            raise UsageError("%cd -: no other directory was the working directory before")
        wanted = visited.pop()
    os.chdir(os.path.expanduser(wanted or "~"))
    visited.append(before)
    if not quiet:
        print(os.getcwd())


def _alias(name: str, command: str) -> None:
    def alias(call: Call) -> None:
        call.namespace["_exit_code"] = run([shell(), "-c", ("%s %s" % (command, call.text)).strip()])

    alias.__doc__ = "%%%s …: the command `%s`." % (name, command)
    line_magic(name)(alias)


for _name in ("cat", "cp", "mkdir", "mv", "rm", "rmdir"):
    _alias(_name, _name)
_alias("ls", "ls -C")
_alias("ll", "ls -l")


@line_magic("system", "sx")
def system_lines(call: Call) -> SList:
    """%system COMMAND: the lines a command prints, as `!!COMMAND`."""
    return output(call.namespace, call.text)


# Environment variables


@line_magic("env")
def env(call: Call) -> Any:
    """%env: all environment variables; %env NAME: one; %env NAME=VALUE or NAME VALUE: sets one."""
    if not call.text:
        return dict(os.environ)
    name, value = _assignment(call.text)
    if value is not None:
        return _set(name, value)
    if name not in os.environ:
        raise UsageError("Environment does not have key: %s" % name)
    return os.environ[name]


@line_magic("set_env")
def set_env(call: Call) -> None:
    """%set_env NAME=VALUE or NAME VALUE: sets an environment variable."""
    name, value = _assignment(call.text)
    if not name or value is None:
        raise UsageError("%set_env needs a name and a value: %set_env NAME=VALUE")
    _set(name, value)


def _assignment(text: str) -> Tuple[str, Optional[str]]:
    mark = "=" if "=" in text else " "
    name, found, value = text.partition(mark)
    return name.strip(), value.strip() if found else None


def _set(name: str, value: str) -> None:
    if not name or any(letter.isspace() for letter in name):
        raise UsageError("%r is no name of an environment variable" % name)
    os.environ[name] = value
    print("env: %s=%s" % (name, value))


# Variables


def _variables(call: Call) -> List[Dict[str, Any]]:
    found = introspection.variables(call.namespace, list(call.magics.given))
    types_wanted = call.text.split()
    return [one for one in found if not types_wanted or one["type"] in types_wanted]


@line_magic("who")
def who(call: Call) -> None:
    """%who [TYPE …]: the names of the variables."""
    names = [one["name"] for one in _variables(call)]
    print("\t ".join(names) if names else "Interactive namespace is empty.")


@line_magic("who_ls")
def who_ls(call: Call) -> List[str]:
    """%who_ls [TYPE …]: the names of the variables, as a list."""
    return sorted(one["name"] for one in _variables(call))


@line_magic("whos")
def whos(call: Call) -> None:
    """%whos [TYPE …]: the variables with type and value."""
    rows = [(one["name"], one["type"], one["value"]) for one in _variables(call)]
    if not rows:
        print("Interactive namespace is empty.")
        return
    rows.insert(0, ("Variable", "Type", "Data/Info"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for number, row in enumerate(rows):
        print("%s   %s   %s" % (row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]))
        if number == 0:
            print("-" * (sum(widths) + 6 + len(row[2])))


@line_magic("reset")
def reset(call: Call) -> None:
    """%reset -f: removes all variables. Nobody is asked, so without -f nothing happens."""
    if "f" not in call.flags("fs"):
        raise UsageError("%reset removes all variables and cannot ask whether it should: use %reset -f")
    namespace = call.namespace
    given = call.magics.given
    kept = {name: namespace[name] for name in ("In", "Out") if name in namespace}
    namespace.clear()
    namespace.update(given)
    namespace.update(kept)
    if isinstance(namespace.get("Out"), dict):
        namespace["Out"].clear()


# Programs


@line_magic("run")
def run_file(call: Call) -> None:
    """%run [-i] [-n] FILE [ARGUMENT …] or -m MODULE: runs a program; its variables are there afterwards."""
    words = shlex.split(call.text)
    flags = set()
    while words and words[0] in ("-i", "-n", "-m"):
        flags.add(words.pop(0)[1])
    if not words:
        raise UsageError("%run needs a file")
    if "m" in flags:
        import importlib.util

        spec = importlib.util.find_spec(words[0])
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(words[0] + ".__main__")
        if spec is None or not spec.origin:
            raise UsageError("%%run -m: there is no module %s" % words[0])
        words[0] = spec.origin
    path = os.path.abspath(os.path.expanduser(words[0]))
    if not os.path.exists(path) and os.path.exists(path + ".py"):
        path += ".py"
    if path.endswith(".ipynb"):
        raise UsageError("%run takes programs, not notebooks")
    with tokenize.open(path) as file:
        source = file.read()
    module = types.ModuleType("__main__" if "n" not in flags else os.path.basename(path)[:-3])
    module.__file__ = path
    names = call.namespace if "i" in flags else module.__dict__
    if path.endswith(".ipy"):
        code = compile(call.magics.compiler.parse(source, path), path, "exec", 0, True)
    else:
        code = compile(source, path, "exec", 0, True)
    _run_code(code, names, module, [words[0]] + words[1:], os.path.dirname(path), "i" in flags)
    if "i" not in flags:
        given = ("__name__", "__file__", "__doc__", "__loader__", "__package__", "__spec__")
        call.namespace.update(
            {name: value for name, value in names.items() if name not in given + ("__builtins__",)}
        )


def _run_code(
    code: types.CodeType,
    names: Dict[str, Any],
    module: types.ModuleType,
    argv: List[str],
    folder: str,
    shared: bool,
) -> None:
    """Runs code as a program: with arguments, and with its folder as the first place of imports."""
    saved = sys.argv, list(sys.path), sys.modules["__main__"]
    had_file = names.get("__file__", _MISSING)
    sys.argv = argv
    sys.path.insert(0, folder)
    if shared:
        names["__file__"] = module.__file__
    elif module.__name__ == "__main__":
        sys.modules["__main__"] = module
    try:
        exec(code, names)  # noqa: S102
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = saved
        if shared:
            if had_file is _MISSING:
                names.pop("__file__", None)
            else:
                names["__file__"] = had_file


_MISSING = object()


# What belongs to IPython


def _remark(text: str) -> None:
    print(text, file=sys.stderr)


@line_magic("matplotlib")
def matplotlib(call: Call) -> None:
    """%matplotlib inline: nothing to do, figures are always shown inline. Other backends are not available."""
    words = [word for word in call.text.split() if word not in ("--list", "-l")]
    if words and words[0] not in ("inline", "agg", "auto"):
        _remark("%%matplotlib %s is not available here: figures are shown inline" % words[0])


@line_magic("load_ext", "reload_ext", "unload_ext")
def load_ext(call: Call) -> None:
    """%load_ext NAME: extensions need IPython itself and are not available; autoreload is accepted."""
    if call.text == "autoreload":
        _remark("autoreload has no effect here: use importlib.reload(module) after a change")
    else:
        raise UsageError("Extension %r is not available: extensions need IPython itself" % call.text)


@line_magic("autoreload", "aimport")
def autoreload(_call: Call) -> None:
    """%autoreload: accepted without effect."""


@line_magic("config", verbatim=True)
def config(call: Call) -> None:
    """%config NAME = VALUE: accepted without effect; there is no IPython to configure."""
    _remark("%%config %s has no effect here" % call.text)


@line_magic("lsmagic")
def lsmagic(_call: Call) -> None:
    """%lsmagic: lists the magics."""
    print(list_magics())


def list_magics() -> str:
    """The names of all magics."""
    return "Line magics: %s\nCell magics: %s\n%%NAME? tells more about one." % (
        " ".join(sorted("%" + name for name in LINES)),
        " ".join(sorted("%%" + name for name in CELLS)),
    )
