"""The fork server of one environment: single-threaded, standard library only, everything imported.

The worker may spawn nothing but the package managers, so one ``<manager> run`` starts this process and every
session is a fork of it, ready in milliseconds. It also sends the signals, which the worker may not send itself.

Lines of life: when the worker goes away the control socket ends, and all sessions with everything they started
are killed; when this process dies, the kernel kills the sessions (``PR_SET_PDEATHSIG``), and the keeper what they
have left (``keeper.py``).
"""

import asyncio  # noqa: F401  imported here once, so that no session has to
import gc
import os
import select
import signal
import sys
import traceback
from typing import Any, Dict, Optional, Set

from . import file_access, isolation, landlock, machine, processes, startup
from .wire import Channel, Header

_SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}


#: Longest wait for killed processes to be gone (seconds).
_END_TIME = 2.0


class ForkServer:
    """Forks sessions, signals them, and reports their end."""

    def __init__(self, socket_path: str, token: str) -> None:
        self._socket_path = socket_path
        self._control = Channel.connect(socket_path, token, "server")
        self._sessions = {}  # type: Dict[int, str]
        self._devices = {}  # type: Dict[str, Dict[str, str]]
        self._wakeup_read, self._wakeup_write = os.pipe()
        os.set_blocking(self._wakeup_read, False)
        os.set_blocking(self._wakeup_write, False)

    def run(self) -> None:
        """Serves until the worker closes the control socket."""
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.signal(signal.SIGTERM, lambda signum, frame: self._end(143))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        # Objects alive now stay shared between all sessions: a collection must not touch (and copy) their pages.
        gc.collect()
        gc.freeze()
        self._control.send(
            {
                "op": "ready",
                "pid": os.getpid(),
                "version": "%d.%d.%d" % sys.version_info[:3],
                "implementation": sys.implementation.name,
                "executable": sys.executable,
                "prefix": sys.prefix,
                "landlock": {"abi": landlock.ABI, "reason": landlock.REASON},
            }
        )
        poll = select.poll()
        poll.register(self._control.sock, select.POLLIN)
        poll.register(self._wakeup_read, select.POLLIN)
        while True:
            for fd, _events in poll.poll():
                if fd == self._wakeup_read:
                    try:
                        os.read(self._wakeup_read, 4096)
                    except BlockingIOError:
                        pass
                elif not self._control.feed():
                    self._end(0)
            for header, _blob in self._control.take():
                self._handle(header)
            self._reap()

    def _handle(self, header: Header) -> None:
        op = header["op"]
        if op == "fork":
            self._fork(header)
        elif op == "signal":
            self._signal(header)
        elif op == "usage":
            pid = self._pid_of(header["id"])
            usage = None if pid is None else processes.usage(pid)
            self._control.send({"op": "usage", "ack": header["ack"], "usage": usage})
        elif op == "resources":
            self._control.send(
                {"op": "resources", "ack": header["ack"], "resources": self._resources(header["id"])}
            )
        elif op == "shutdown":
            self._end(0)

    def _fork(self, request: Header) -> None:
        name = request["id"]
        parent = os.getpid()
        isolation.current.prepare(request.get("isolation"))
        try:
            pid = os.fork()
        except OSError as error:
            self._control.send({"op": "fork_failed", "id": name, "reason": str(error)})
            return
        if pid == 0:
            self._become_session(request, parent)
        self._sessions[pid] = name
        self._devices[name] = self._device_variables(request)
        self._control.send({"op": "forked", "id": name, "pid": pid})

    @staticmethod
    def _device_variables(request: Header) -> Dict[str, str]:
        """The variables a session starts with that decide which graphics processors it sees."""
        merged = {**os.environ, **request["env"]}
        return {name: merged[name] for name in machine.DEVICE_VARIABLES if merged.get(name) is not None}

    def _resources(self, name: str) -> Optional[Dict[str, Any]]:
        pid = self._pid_of(name)
        return None if pid is None else machine.describe(pid, self._devices[name])

    def _become_session(self, request: Header, parent: int) -> None:
        """Turns the forked child into a session, or into what reaches a session's files; never returns."""
        code = 1
        try:
            # A signal for this process must not end the other sessions.
            self._sessions.clear()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            os.close(self._wakeup_read)
            os.close(self._wakeup_write)
            self._control.sock.close()
            main = file_access.main if request.get("kind") == "files" else startup.main
            code = main(self._socket_path, request, parent)
        except BaseException:
            # There may be no session channel yet: the fork server's own standard error goes to the worker's log.
            traceback.print_exc()
            # Before Python 3.9 it is held back when nobody sits at a terminal.
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _signal(self, request: Header) -> None:
        pid = self._pid_of(request["id"])
        signum = _SIGNALS[request["signal"]]
        if pid is not None:
            if signum == signal.SIGKILL:
                self._kill_tree(pid)
            else:
                processes.kill_group(pid, signum)
        self._control.send({"op": "signaled", "ack": request["ack"]})

    def _pid_of(self, name: str) -> Optional[int]:
        for pid, other in self._sessions.items():
            if other == name:
                return pid
        return None

    @staticmethod
    def _kill_tree(pid: int) -> None:
        below = processes.descendants(pid)
        processes.kill_group(pid)
        processes.kill(pid)
        for other in below:
            processes.kill(other)

    def _reap(self) -> None:
        """Reports sessions that ended, and ends what they left behind."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # type: Any
            except ChildProcessError:
                return
            if info is None:
                return
            pid = info.si_pid
            name = self._sessions.pop(pid, None)
            if name is not None:
                # Still a zombie, so its group id cannot have been given to anyone else.
                processes.kill_group(pid)
            _, status = os.waitpid(pid, 0)
            # Also after an orphan's end: its own children fall to this process.
            self._end_orphans()
            if name is None:
                continue
            self._devices.pop(name, None)
            signaled = os.WIFSIGNALED(status)
            self._control.send(
                {
                    "op": "exited",
                    "id": name,
                    "code": None if signaled else os.WEXITSTATUS(status),
                    "signal": processes.signal_name(os.WTERMSIG(status)) if signaled else None,
                }
            )

    def _end_orphans(self) -> None:
        """Kills processes that fell to this one because their session ended."""
        known = set(self._sessions)  # type: Set[int]
        for pid in processes.children():
            if pid not in known:
                self._kill_tree(pid)

    def _end(self, code: int) -> None:
        for pid in list(self._sessions):
            self._kill_tree(pid)
        self._sessions.clear()
        processes.end_children(self._end_orphans, _END_TIME)
        os._exit(code)


def main(socket_path: str, token: str, keeper: int) -> None:
    """Entry point of the fork server process, a child of its keeper."""
    processes.die_with_parent(keeper, signal.SIGTERM)
    processes.adopt_orphans()
    ForkServer(socket_path, token).run()
