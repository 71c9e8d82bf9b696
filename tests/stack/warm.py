"""Starts Python programs in no time, for tests that start hundreds of the same: by a fork of itself.

    python warm.py SOCKET MODULE

Imports everything that MODULE imports, but for the package it is of (which may look at its variables while it is
imported), calls `warm_up` of a `sitecustomize` that has one, then serves a Unix socket until its parent ends. Who connects sends one line of JSON,

    {"module": NAME} or {"code": TEXT}, with "args", "env", "cwd", "stdin" (a text), "stdout" and "stderr" (files)

and gets {"code": N} when that program has ended. It runs as `python -m NAME` or `python -c TEXT` would, as the leader
of a session of its own; closing the connection kills it with its process group.
"""

import atexit
import ctypes
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from typing import Any, Dict, List, Optional

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def modules_of(module: str) -> List[str]:
    """What importing a module brings, without its own package."""
    own = module.split(".")[0]
    code = f"import sys; import {module}; print(*sys.modules, sep='\\n')"
    output = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [name for name in output.stdout.decode().split() if name.split(".")[0] not in (own, "__main__", "sitecustomize")]


def preload(module: str) -> None:
    """Imports what a module needs; what cannot be imported alone is imported by who needs it."""
    for name in modules_of(module):
        try:
            importlib.import_module(name)
        except Exception:
            pass
    getattr(sys.modules.get("sitecustomize"), "warm_up", lambda: None)()


def redirect(path: Optional[str], target: int, flags: int) -> None:
    """Opens a file as a descriptor; nothing is /dev/null."""
    descriptor = os.open(path or os.devnull, flags, 0o644)
    os.dup2(descriptor, target)
    os.close(descriptor)


def take_over(request: Dict[str, Any]) -> None:
    """In the child: becomes the program's process."""
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    text = os.memfd_create("stdin")
    os.write(text, request.get("stdin", "").encode())
    os.lseek(text, 0, os.SEEK_SET)
    os.dup2(text, 0)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    redirect(request.get("stdout"), 1, append)
    if request.get("stderr") == request.get("stdout"):
        os.dup2(1, 2)
    else:
        redirect(request.get("stderr"), 2, append)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(request.get("env", {}))
    if request.get("cwd"):
        os.chdir(request["cwd"])
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)
    if os.environ.get("PYTHONPATH"):
        sys.path[:0] = os.environ["PYTHONPATH"].split(":")
        importlib.import_module("sitecustomize")


def run(request: Dict[str, Any]) -> int:
    """Runs the program; returns its exit code."""
    args = list(request.get("args", []))
    try:
        if "module" in request:
            sys.argv = [request["module"], *args]
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *args]
            main = type(sys)("__main__")
            main.__dict__["__builtins__"] = __builtins__
            sys.modules["__main__"] = main
            exec(compile(request["code"], "<string>", "exec"), main.__dict__)
        return 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1


def child(request: Dict[str, Any]) -> None:
    """The life of a program."""
    code = 1
    try:
        take_over(request)
        code = run(request)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code & 0xFF)


class Warm:
    """Serves the socket."""

    def __init__(self, path: str) -> None:
        self.selector = selectors.DefaultSelector()
        self.programs: Dict[int, socket.socket] = {}
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(64)
        wake, self.woken = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(self.woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(self.server, selectors.EVENT_READ)
        self.selector.register(wake, selectors.EVENT_READ)
        self.wake = wake

    def serve(self) -> None:
        """Until a signal ends it."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.server:
                    self.accept()
                elif key.fileobj == self.wake:
                    os.read(self.wake, 4096)
                    self.reap()
                else:
                    self.hang_up(key.fileobj)  # type: ignore[arg-type]

    def accept(self) -> None:
        """Starts what a new connection asks for."""
        connection, _ = self.server.accept()
        with connection.makefile("rb") as file:
            line = file.readline()
        if not line:
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        self.programs[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, pid)

    def hang_up(self, connection: socket.socket) -> None:
        """Nobody waits for the program any more."""
        pid = self.selector.get_key(connection).data
        self.selector.unregister(connection)
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            try:
                # It has not come to be the leader of a group yet.
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def reap(self) -> None:
        """Tells who waits for programs that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            connection = self.programs.pop(pid, None)
            if connection is None:
                continue
            try:
                self.selector.unregister(connection)
            except KeyError:
                pass
            try:
                connection.sendall(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
            except OSError:
                pass
            connection.close()


if __name__ == "__main__":
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    preload(sys.argv[2])
    Warm(sys.argv[1]).serve()
