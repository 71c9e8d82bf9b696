"""Line magics, but for those of time and of packages."""

import os
import re
import shlex
import sys
import tokenize
import types
from typing import Any, Dict, List, Optional, Tuple

from . import introspection, magics_notebook
from .magics_registry import Call, UsageError, line_magic, run_to_end
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


@line_magic("pushd")
def pushd(call: Call) -> List[str]:
    """%pushd DIRECTORY: changes the working directory, and %popd goes back."""
    before = os.getcwd()
    cd(call)
    call.magics.stack.insert(0, before)
    return list(call.magics.stack)


@line_magic("popd")
def popd(call: Call) -> None:
    """%popd: goes back to where the last %pushd was."""
    if not call.magics.stack:
        raise UsageError("%popd: there has been no %pushd")
    os.chdir(call.magics.stack.pop(0))
    print(os.getcwd())


@line_magic("dirs")
def dirs(call: Call) -> List[str]:
    """%dirs: the directories that %popd goes back to."""
    return list(call.magics.stack)


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
    names = sorted(one["name"] for one in _variables(call))
    print("\t ".join(names) if names else "Interactive namespace is empty.")


@line_magic("who_ls")
def who_ls(call: Call) -> List[str]:
    """%who_ls [TYPE …]: the names of the variables, as a list."""
    return sorted(one["name"] for one in _variables(call))


@line_magic("whos")
def whos(call: Call) -> None:
    """%whos [TYPE …]: the variables with type and value."""
    rows = sorted((one["name"], one["type"], one["value"]) for one in _variables(call))
    if not rows:
        print("Interactive namespace is empty.")
        return
    rows.insert(0, ("Variable", "Type", "Data/Info"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for number, row in enumerate(rows):
        print("%s   %s   %s" % (row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]))
        if number == 0:
            print("-" * (sum(widths) + 6 + len(row[2])))


@line_magic("xdel")
def xdel(call: Call) -> None:
    """%xdel [-n] NAME: removes a variable and, without -n, its other names, so that its memory is given back."""
    only_name = "n" in call.flags("n")
    if call.text not in call.namespace:
        raise UsageError("name '%s' is not defined" % call.text)
    value = call.namespace.pop(call.text)
    if not only_name:
        _forget(call, [name for name, other in call.namespace.items() if other is value])
        outs = call.namespace.get("Out")
        for number in [number for number, other in (outs or {}).items() if other is value]:
            outs.pop(number)


def _forget(call: Call, names: List[str]) -> None:
    given = call.magics.given
    for name in names:
        if name in given:
            call.namespace[name] = given[name]
        else:
            call.namespace.pop(name, None)


@line_magic("reset_selective")
def reset_selective(call: Call) -> None:
    """%reset_selective -f PATTERN: removes the variables whose names a regular expression is found in."""
    if "f" not in call.flags("f"):
        raise UsageError("%reset_selective cannot ask whether it should: use %reset_selective -f PATTERN")
    try:
        pattern = re.compile(call.text)
    except re.error as error:
        raise UsageError("%%reset_selective: %r is no regular expression: %s" % (call.text, error)) from None
    _forget(call, [one["name"] for one in _variables(Call.same(call, "")) if pattern.search(one["name"])])


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
    """%run [-i] [-n] [-e] FILE [ARGUMENT …] or -m MODULE: runs a program; its variables are there afterwards.

    A notebook (.ipynb) is run cell by cell. -i: with the session's variables; -n: not as the main program;
    -e: an exit code is no error.
    """
    words = shlex.split(call.text)
    flags = set()
    while words and words[0].startswith("-") and len(words[0]) > 1:
        flag = words.pop(0)[1:]
        if flag not in ("i", "n", "m", "e"):
            raise UsageError("%%run does not know the flag -%s; it knows -i, -n, -m, -e" % flag)
        flags.add(flag)
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
        run_to_end(magics_notebook.run_notebook(call), os.path.basename(path))
        return
    with tokenize.open(path) as file:
        source = file.read()
    module = types.ModuleType("__main__" if "n" not in flags else os.path.basename(path)[:-3])
    module.__file__ = path
    names = call.namespace if "i" in flags else module.__dict__
    if path.endswith(".ipy"):
        code = compile(call.magics.compiler.parse(source, path), path, "exec", 0, True)
    else:
        code = compile(source, path, "exec", 0, True)
    try:
        _run_code(code, names, module, words, os.path.dirname(path), "i" in flags)
    except SystemExit as ended:
        if ended.code not in (None, 0) and "e" not in flags:
            raise
    finally:
        if "i" not in flags:
            # Also when it fails: what it had so far helps to find out why.
            call.namespace.update({name: value for name, value in names.items() if name not in _OWN})


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
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = saved
        if shared:
            if had_file is _MISSING:
                names.pop("__file__", None)
            else:
                names["__file__"] = had_file


_MISSING = object()
#: What every module has of its own.
_OWN = ("__name__", "__file__", "__doc__", "__loader__", "__package__", "__spec__", "__builtins__")
