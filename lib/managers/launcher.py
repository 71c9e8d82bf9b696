"""Starts programs for the worker, which may itself start nothing but package managers: ``python -IS launcher.py``.

conda takes over a second to start anything in an environment, so it starts this once, and this starts the rest.

Requests come on standard input, one JSON object per line, each with the ``id`` the worker has chosen for a program:

- ``{"op": "start", "id", "argv", "cwd", "env", "stdin"}``: starts it as the leader of a session of its own;
  without ``cwd`` it has the worker's, and without ``stdin`` its standard input is empty
- ``{"op": "input", "id", "data"}``: text for its standard input
- ``{"op": "end", "id"}``: the end of its standard input
- ``{"op": "close", "id", "kind"}``: one of its streams is not read any more
- ``{"op": "kill", "id", "signal"}``: a signal by its name, to the program alone

Answers go to standard output in frames: id, kind and length (``>IBI``), then so many bytes. The kind 0 comes first,
of no program: the variables of this process, in JSON. 1 and 2 are what a program puts out on these descriptors, with
no bytes at the end; 3 is how it has ended, ``[code, signal name or null]``.

The end of standard input is the end: whoever has standard input for a line of life ends with it, as its pipe closes,
also when this process is killed. So a worker that dies, however suddenly, leaves nothing running.
"""

import json
import os
import selectors
import signal
import struct
import subprocess
import time
from typing import Any, Callable, Dict, Optional, Tuple

_HEADER = struct.Struct(">IBI")
_READY, _STDOUT, _STDERR, _EXIT = range(4)
#: What is read at once (bytes); no more than a pipe holds.
_CHUNK = 65536
#: Time programs have to end when their standard input has ended (seconds).
_END_TIME = 5.0


class _Gone(Exception):
    """The worker has gone, or wants this process to."""


def _send(number: int, kind: int, data: bytes = b"") -> None:
    """Writes one frame. Waits when the worker is behind: then the programs have to wait too."""
    view = memoryview(_HEADER.pack(number, kind, len(data)) + data)
    while view:
        try:
            view = view[os.write(1, view):]
        except OSError:
            raise _Gone() from None


def _send_exit(number: int, code: int, name: Optional[str]) -> None:
    _send(number, _EXIT, json.dumps([code, name]).encode())


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG%d" % number


class _Program:
    """A program and its pipes."""

    def __init__(
        self, number: int, request: Dict[str, Any], selector: selectors.BaseSelector, on_done: Callable[[int], Any]
    ) -> None:
        self.number = number
        self._selector = selector
        self._on_done = on_done
        self._pending = b""
        self._last = False
        self._process = subprocess.Popen(
            request["argv"],
            bufsize=0,
            stdin=subprocess.PIPE if request.get("stdin") else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=request.get("cwd"),
            env=request["env"],
            # An interrupt typed at the worker's terminal must reach the worker alone.
            start_new_session=True,
        )
        self._streams = {_STDOUT: self._process.stdout, _STDERR: self._process.stderr}
        self._input = self._process.stdin
        self.alive = True
        for kind, stream in self._streams.items():
            selector.register(stream, selectors.EVENT_READ, lambda kind=kind: self._read(kind))
        if self._input is not None:
            os.set_blocking(self._input.fileno(), False)

    def _check(self) -> None:
        """Nothing more will be heard of it when it has ended and so have its streams."""
        if not self.alive and not self._streams:
            self._on_done(self.number)

    @property
    def has_input(self) -> bool:
        """Whether it was given a standard input that may be its line of life."""
        return self._process.stdin is not None

    def _read(self, kind: int) -> None:
        data = os.read(self._streams[kind].fileno(), _CHUNK)
        if not data:
            self.close(kind)
        _send(self.number, kind, data)

    def close(self, kind: int) -> None:
        """Reads a stream no more."""
        stream = self._streams.pop(kind, None)
        if stream is not None:
            self._selector.unregister(stream)
            stream.close()
            self._check()

    def write(self, data: bytes) -> None:
        """Writes to its standard input as soon as that has room."""
        if self._input is None or self._last:
            return
        if data and not self._pending:
            self._selector.register(self._input, selectors.EVENT_WRITE, self._flush)
        self._pending += data

    def _flush(self) -> None:
        try:
            self._pending = self._pending[os.write(self._input.fileno(), self._pending):]
        except BlockingIOError:
            return
        except OSError:
            # It reads no more.
            self._pending = b""
            self._last = True
        if not self._pending:
            self._selector.unregister(self._input)
            if self._last:
                self.end_input(now=True)

    def end_input(self, now: bool = False) -> None:
        """Ends its standard input, when all has been written or at once."""
        self._last = True
        if self._input is None or (self._pending and not now):
            return
        if self._pending:
            self._selector.unregister(self._input)
            self._pending = b""
        self._input.close()
        self._input = None

    def kill(self, name: str) -> None:
        """Sends a signal to a program that has not been waited for."""
        if self.alive:
            self._process.send_signal(signal.Signals[name])

    def reap(self) -> Optional[Tuple[int, Optional[str]]]:
        """How it has ended, told once."""
        code = self._process.poll() if self.alive else None
        if code is None:
            return None
        self.alive = False
        self.end_input(now=True)
        self._check()
        return (code, None) if code >= 0 else (128 - code, _signal_name(-code))


class _Launcher:
    """All programs, and the requests."""

    def __init__(self) -> None:
        self._programs = {}  # type: Dict[int, _Program]
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ, self._requests)
        # A child that ends wakes the loop; what is written is of no interest.
        self._wake, wakeup = os.pipe()
        for fd in (self._wake, wakeup):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._reap)

    def run(self) -> None:
        """Serves until the worker has gone."""
        try:
            _send(0, _READY, json.dumps(dict(os.environ)).encode())
            while True:
                for key, _ in self._selector.select():
                    # What came before it in this round may have closed it.
                    if self._selector.get_map().get(key.fd) is key:
                        key.data()
        except _Gone:
            self._end()

    def _requests(self) -> None:
        data = os.read(0, _CHUNK)
        if not data:
            raise _Gone()
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._handle(json.loads(line.decode()))

    def _handle(self, request: Dict[str, Any]) -> None:
        number = request["id"]
        if request["op"] == "start":
            self._start(number, request)
            return
        program = self._programs.get(number)
        if program is None:
            return
        operations = {
            "input": lambda: program.write(request["data"].encode()),
            "end": program.end_input,
            "close": lambda: program.close(request["kind"]),
            "kill": lambda: program.kill(request["signal"]),
        }  # type: Dict[str, Callable[[], None]]
        operations[request["op"]]()

    def _start(self, number: int, request: Dict[str, Any]) -> None:
        try:
            self._programs[number] = _Program(number, request, self._selector, self._programs.pop)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            # As a shell would have it.
            _send(number, _STDERR, ("%s\n" % error).encode(errors="replace"))
            for kind in (_STDOUT, _STDERR):
                _send(number, kind)
            _send_exit(number, 127, None)

    def _reap(self) -> None:
        os.read(self._wake, _CHUNK)
        for program in list(self._programs.values()):
            ended = program.reap()
            if ended is not None:
                _send_exit(program.number, *ended)

    def _end(self) -> None:
        """Breaks all lines of life and waits until their programs have ended."""
        waiting = [program for program in self._programs.values() if program.has_input]
        for program in waiting:
            program.end_input(now=True)
        limit = time.monotonic() + _END_TIME
        while time.monotonic() < limit:
            waiting = [program for program in waiting if program.alive and program.reap() is None]
            if not waiting:
                return
            time.sleep(0.005)


def main() -> None:
    """Leaves conda, which then ends and gives back its memory, and serves."""
    if os.fork() != 0:
        os._exit(0)
    _Launcher().run()
    # A quiet end, whatever is still open.
    os._exit(0)


if __name__ == "__main__":
    main()
