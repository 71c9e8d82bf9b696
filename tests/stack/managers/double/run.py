"""`run`: a command in an environment, with the process chain and the signal habits of the real ones."""

import glob
import os
import signal
import sys
from typing import Any, Dict, List

from .faults import Invocation
from .options import Parsed
from .processes import exec_child, exit_code, which


def activation(prefix: str, condabin: str) -> Dict[str, str]:
    """The variables an activated environment has."""
    environment = dict(os.environ)
    path = environment.get("PATH", "/usr/bin:/bin")
    environment.update(
        PATH=os.pathsep.join([f"{prefix}/bin", condabin, path]),
        CONDA_PREFIX=prefix,
        CONDA_DEFAULT_ENV=prefix,
        CONDA_SHLVL="1",
        CONDA_PROMPT_MODIFIER=f"({prefix}) ",
    )
    state = f"{prefix}/conda-meta/state"
    if os.path.exists(state):
        import json

        with open(state, encoding="utf-8") as file:
            environment.update(json.load(file).get("env_vars", {}))
    return environment


def activate_scripts(prefix: str) -> List[str]:
    """Scripts that packages put into the activation."""
    return sorted(glob.glob(f"{glob.escape(prefix)}/etc/conda/activate.d/*.sh"))


def temporary_name(stem: str) -> str:
    """A name for a wrapper script; only messages show it."""
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    letters = "".join(alphabet[byte % len(alphabet)] for byte in os.urandom(10 if stem == "mambaf" else 8))
    return os.path.join(os.environ.get("TMPDIR", "/tmp"), stem + letters)


def mamba(invocation: Invocation, parsed: Parsed, prefix: str, root: str) -> int:
    """Runs the command as the direct child; forwards SIGTERM, sits out SIGINT."""
    if not os.path.isdir(prefix):
        sys.stderr.write(f'critical libmamba The given prefix does not exist: "{prefix}"\n')
        return 1
    command = parsed.positional
    if not command:
        sys.stderr.write("Did not receive any command to run inside environment\n")
        return 1
    environment = activation(prefix, f"{root}/condabin")
    environment["MAMBA_EXE"] = invocation.executable
    environment["MAMBA_ROOT_PREFIX"] = root
    for pair in parsed.all("env"):
        name, _, value = pair.partition("=")
        environment[name] = value
    if command[0].startswith("-"):
        # The wrapper script would say `exec --no-rc ...`, which its shell refuses.
        sys.stderr.write(f"{temporary_name('mambaf')}: line 5: exec: {command[0][:2]}: invalid option\n")
        sys.stderr.write("exec: usage: exec [-cl] [-a name] [command [argument ...]] [redirection ...]\n")
        return 2
    scripts = activate_scripts(prefix)
    if scripts:
        sourced = "".join(f'. "{script}"; ' for script in scripts)
        command = ["/bin/bash", "-c", sourced + 'exec "$@"', "run", *command]
    elif which(command[0], environment["PATH"]) is None:
        sys.stderr.write(f"{temporary_name('mambaf')}: line 5: exec: {command[0]}: not found\n")
        return 127

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        exec_child(command, environment, parsed.one("cwd"))

    def forward(number: int, _frame: Any) -> None:
        os.kill(child, number)
        os.write(2, b"Interrupted system call ; error code 4\n")
        invocation.log("end", code=252)
        os._exit(252)

    signal.signal(signal.SIGTERM, forward)
    return exit_code(os.waitpid(child, 0)[1])


def conda(invocation: Invocation, parsed: Parsed, prefix: str, root: str) -> int:
    """Runs the command through a bash script; what it prints is held back unless told otherwise."""
    if not os.path.isdir(f"{prefix}/conda-meta"):
        sys.stderr.write(f"\nEnvironmentLocationNotFound: Not a conda environment: {prefix}\n\n")
        return 1
    command = parsed.positional
    if not command:
        sys.stderr.write("usage: conda run [-h] [-v] [-n ENVIRONMENT | -p PATH] ...\n")
        sys.stderr.write("conda run: error: the following arguments are required: executable_call\n")
        return 2
    import shlex

    if any("\n" in word for word in command):
        raise NotImplementedError(
            "Support for scripts where arguments contain newlines not implemented.\n"
            ".. requires writing the script to an external file."
        )
    environment = activation(prefix, f"{root}/condabin")
    environment["CONDA_EXE"] = invocation.executable
    environment["CONDA_PYTHON_EXE"] = sys.executable
    script = temporary_name("tmp")
    sourced = "; ".join(f". {shlex.quote(path)}" for path in activate_scripts(prefix)) or ":"
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"export CONDA_PREFIX={shlex.quote(prefix)}\n{sourced}\n{shlex.join(command)}\n")
    capture = not parsed.has("live_stream")
    streams = [os.pipe(), os.pipe()] if capture else []
    child = os.fork()
    if child == 0:
        if capture:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(streams[0][1], 1)
            os.dup2(streams[1][1], 2)
        exec_child(["/bin/bash", script], environment, parsed.one("cwd"))
    try:
        captured = read_all(streams) if capture else [b"", b""]
        code = exit_code(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        sys.stderr.write("\nCondaError: KeyboardInterrupt\n\n")
        return 1
    finally:
        if os.path.exists(script):
            os.unlink(script)
    os.write(1, captured[0])
    os.write(2, captured[1])
    if code != 0:
        sys.stderr.write(
            f"ERROR conda.cli.main_run:execute(148): `conda run {' '.join(command)}` failed."
            " (See above for error)\n"
        )
    return code


def read_all(streams: List[Any]) -> List[bytes]:
    """Both pipes to their end."""
    import selectors

    chunks: List[List[bytes]] = [[], []]
    with selectors.DefaultSelector() as selector:
        for index, (read, write) in enumerate(streams):
            os.close(write)
            selector.register(read, selectors.EVENT_READ, index)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                if data:
                    chunks[key.data].append(data)
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [b"".join(part) for part in chunks]
