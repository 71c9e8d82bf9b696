"""From a command line to the function that does it."""

import os
import sys
from typing import List

from . import options
from .faults import Invocation
from .options import UsageError

OLD_CONDA = "24.1.2"
"""The conda below mamba 1."""
TABLES = {"mamba": options.MAMBA, "micromamba": options.MICROMAMBA, "conda": options.CONDA}


def run(invocation: Invocation, argv: List[str]) -> int:
    """Does what the command line says and returns the exit code."""
    kind = invocation.kind
    if argv and argv[0] in ("--version", "-V"):
        if invocation.name == "mamba" and kind == "conda":
            # mamba 1 lets conda answer too.
            sys.stdout.write(f"mamba {invocation.version}\nconda {OLD_CONDA}\n")
        else:
            name = "conda " if kind == "conda" else ""
            sys.stdout.write(f"{name}{invocation.version}\n")
        if "--verbose" in argv:
            sys.stdout.write("(a test double with a real solver, not the real program)\n")
        return 0
    tables = TABLES[kind]
    parse = options.argparse if kind == "conda" else options.cli11
    try:
        command, words = options.command_of(tables, argv)
        if kind != "conda" and command == "" and argv[:2] == ["env", "create"]:
            command, words = "create", argv[2:]
        if command == "":
            unknown(kind, argv)
        if invocation.fault("usage_error"):
            words = ["--no-such-flag"]
        parsed = parse(tables[command], words)
    except UsageError as error:
        sys.stderr.write(error.text)
        return error.code
    invocation.at_start()

    root = root_prefix(invocation, parsed.one("root_prefix"))
    prefix = parsed.one("prefix") or ""
    if parsed.one("name"):
        prefix = os.path.join(root, "envs", parsed.one("name") or "")
    prefix = os.path.abspath(os.path.expanduser(prefix)) if prefix else ""
    if command == "run":
        from . import run as runner

        body = runner.conda if kind == "conda" else runner.mamba
        return body(invocation, parsed, prefix or root, root)
    # Started with -S, which keeps `run` fast, the interpreter knows nothing of its environment's packages.
    environment = os.path.dirname(os.path.dirname(sys.executable))
    sys.path.append(os.path.join(environment, "lib", "python%d.%d" % sys.version_info[:2], "site-packages"))
    if command in ("create", "env create"):
        from . import create

        return create.run(invocation, parsed, prefix, root)
    from . import inspection

    return inspection.run(invocation, command, parsed, prefix, root)


def unknown(kind: str, argv: List[str]) -> None:
    """Refuses a command nobody knows."""
    if kind == "conda":
        usage = "usage: conda [-h] [-v] [--no-plugins] [-V] COMMAND ...\n"
        choice = f"conda: error: argument COMMAND: invalid choice: '{argv[0] if argv else ''}'\n"
        raise UsageError(usage + choice, 2)
    verb = "argument was" if len(argv) == 1 else "arguments were"
    hint = "\nRun with --help for more information.\n"
    raise UsageError(f"The following {verb} not expected: {' '.join(argv)}{hint}", 109)


def root_prefix(invocation: Invocation, given: object) -> str:
    """The root prefix; for conda the folder the executable is installed in."""
    if invocation.kind == "conda":
        return invocation.folder
    home = os.environ.get("HOME", "/")
    default = ".local/share/mamba" if invocation.kind == "mamba" else "micromamba"
    return str(given or os.environ.get("MAMBA_ROOT_PREFIX") or os.path.join(home, default))
