"""Turns a freshly forked process into a session."""

import faulthandler
import os
import signal
import socket
import sys
import time
from typing import Any, Dict, List

from . import isolation, limits, overlay, processes, service_hook, unawaited
from .inline_figures import BACKEND_MODULE
from .marks import Marks
from .process_state import change_environment
from .session import Session
from .streams import OutStream
from .wire import Channel, Header


_KEPT = []  # type: List[Channel]


def _connect_output(path: str, token: str, role: str, fd: int) -> None:
    channel = Channel.connect(path, token, role)
    channel.sock.shutdown(socket.SHUT_RD)
    os.dup2(channel.sock.fileno(), fd, inheritable=True)
    channel.sock.close()


def main(path: str, request: Header, parent: int) -> int:
    """Turns this freshly forked process into a session and serves it. Returns the exit code."""
    os.setsid()
    processes.die_with_parent(parent, signal.SIGKILL)
    processes.adopt_orphans()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    token = request["token"]
    _connect_output(path, token, "stdout", 1)
    _connect_output(path, token, "stderr", 2)
    control = Channel.connect(path, token, "control")
    # Kept to the end of the process: its closing tells the worker to kill what is left, and a failure of what
    # follows has to be printed before.
    _KEPT.append(control)
    policy = request.get("isolation")
    isolated = isolation.current.enter(policy)
    if policy is not None and policy["required"] and not isolated["restricted"]:
        return _refuse(control, isolated)
    change_environment(request["env"])
    overlay.set_up(request.get("overlay"))
    os.environ.setdefault("MPLBACKEND", "module://" + BACKEND_MODULE)
    if hasattr(time, "tzset"):
        time.tzset()
    os.chdir(request["cwd"])
    if "random" in sys.modules:
        # Not imported for this: most first cells do without.
        sys.modules["random"].seed()
    sys.argv = list(request["argv"])
    sys.path.insert(0, "")
    marks = Marks(request["nonce"], [1, 2])
    sys.stdout = sys.__stdout__ = OutStream("stdout", 1, marks)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = OutStream("stderr", 2, marks)  # type: ignore[assignment,misc]
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc]
    faulthandler.enable(file=marks.error_fd())
    processes.before_programs(marks.flush)
    os.register_at_fork(
        before=marks.before_fork,
        after_in_child=lambda: _after_fork([marks, sys.__stdout__, sys.__stderr__, control])
    )
    limits.apply(request.get("limits") or {})
    session = Session(control, marks, request)
    session.questions.install()
    session.figures.install()
    session.magics.install()
    session.soon(overlay.make)
    session.shim.install()
    service_hook.watch(
        session.shim.hooks, lambda name: control.send({"op": "service", "id": name})
    )
    unawaited.install()
    return session.run(isolated)


def _refuse(control: Channel, isolated: Dict[str, Any]) -> int:
    """Reports that the session must not run, and waits until the worker has ended it."""
    control.send({"op": "ready", "pid": os.getpid(), "isolation": isolated})
    while control.sock.recv(4096):
        pass
    return 1


def _after_fork(parts: List[Any]) -> None:
    for part in parts:
        part.after_fork()
