"""Makes a session to scripts what ``python script.py`` is to them. Runs in it once, before the script."""

import asyncio
import atexit
import builtins
import io
import os
import socket
import sys
import threading
from typing import Any, Dict


class _Input(io.RawIOBase):
    """Standard input of the program that runs the script, fetched from the moment the script wants it.

    Until then nothing is taken from it, since it may be meant for somebody else, such as the loop of a shell.
    """

    name = "<stdin>"
    mode = "rb"

    def __init__(self, path: str) -> None:
        self._path = path
        self._connected = False

    def _connect(self) -> None:
        if self._connected:
            return
        self._connected = True
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self._path)
            os.dup2(sock.fileno(), 0, inheritable=True)
        finally:
            sock.close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connect()
        data = os.read(0, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def fileno(self) -> int:
        """Whoever asks for it reads from it, or lets another process read."""
        self._connect()
        return 0

    def isatty(self) -> bool:
        return False


def _ask(prompt: object = "") -> str:
    """``input()`` of a program whose standard input is no terminal."""
    sys.stdout.write(str(prompt))
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError("EOF when reading a line")
    return line[:-1] if line.endswith("\n") else line


class _End:
    """What Python does when a script is over, as the last part of the script's cell.

    Of the cell, because what threads and functions of ``atexit`` print belongs to the script, and outside of a cell
    nobody would see it.
    """

    def __init__(self, mime: str) -> None:
        self._mime = mime
        self._shell = get_ipython()  # type: ignore[name-defined]  # noqa: F821  a builtin of sessions
        # The end of this very cell is not yet that of the script.
        self._shell.events.register("pre_run_cell", self._begin)

    def _begin(self, _info: Any) -> None:
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)

    def _end(self, _result: Any) -> None:
        self._shell.events.unregister("post_run_cell", self._end)
        error = sys.exc_info()[1]
        # What an interrupt means, a timeout perhaps, is known outside only.
        quiet = (SystemExit, KeyboardInterrupt, asyncio.CancelledError)
        if error is not None and not isinstance(error, quiet):
            self._report(error)
        try:
            threading._shutdown()  # type: ignore[attr-defined]
        finally:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()

    def _report(self, error: BaseException) -> None:
        """Sends the traceback now: threads may take long, and go on for ever."""
        from hypha_kernel import isolation, tracebacks

        isolation.current.explain(error)
        self._shell.display_pub.publish({self._mime: tracebacks.describe(error)})


def start(main: Dict[str, Any], settings: Dict[str, Any]) -> None:
    """Sets up the main module and the process; ``settings`` are those of ``run_python.ts``."""
    if settings["cwd"] is not None:
        os.chdir(settings["cwd"])
        os.environ["PWD"] = settings["cwd"]
    if settings["home"] is not None:
        os.environ["HOME"] = settings["home"]
    if settings["path"] is not None:
        # The first entry is the kernel's own, for the working directory.
        sys.path[0] = settings["path"]
    if settings["file"] is not None:
        main["__file__"] = settings["file"]
    if settings["stdin"] is not None:
        raw = _Input(settings["stdin"])
        sys.stdin = sys.__stdin__ = io.TextIOWrapper(  # type: ignore[misc]
            io.BufferedReader(raw), encoding="utf-8"
        )
        builtins.input = _ask  # type: ignore[assignment]
    if settings.get("errors") is not None:
        _End(settings["errors"])


start(main, settings)  # type: ignore[name-defined]  # noqa: F821  given by run_python.ts
