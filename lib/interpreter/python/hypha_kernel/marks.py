"""Marks: what puts standard output, standard error and control of a session into one order.

Bytes on file descriptors 1 and 2 come from everywhere: prints, C code, child processes. Each is a socket of its
own to the worker, so nothing that writes there can disturb the control channel. What connects the three is a
*mark*: a numbered record written into both streams at once. The worker lets nothing that follows mark ``n``
pass before both streams have reached it, and puts the control frame that names ``n`` exactly there. So a
display keeps its place between prints, prints to both streams keep their order, and a cell is over when its
last mark has arrived.
"""

import os
import select
import struct
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, List, Optional

try:
    import fcntl
    import termios

    #: Asks a socket how much of what was written to it has not been read (Linux: ``SIOCOUTQ``).
    _UNREAD = termios.TIOCOUTQ if sys.platform == "linux" else None  # type: Optional[int]
except ImportError:
    _UNREAD = None
_NONE = struct.pack("i", 0)

if TYPE_CHECKING:
    from .streams import OutStream

#: The cell that the running code belongs to; tasks inherit it from the cell that made them.
CURRENT_CELL = ContextVar("hypha_cell", default="")  # type: ContextVar[str]


def write_all(fd: int, data: bytes) -> None:
    """Writes everything, however often the system takes only a part."""
    view = None  # type: Optional[memoryview]
    while True:
        try:
            sent = os.write(fd, data if view is None else view)
        except BlockingIOError:
            # Some program shares the descriptor and has made it non-blocking for everybody.
            waiting = select.poll()
            waiting.register(fd, select.POLLOUT)
            waiting.poll(1000)
            continue
        if view is None:
            if sent == len(data):
                return
            view = memoryview(data)
        view = view[sent:]
        if not view:
            return


class Critical:
    """Sections an interrupt must not tear: half a mark or half a frame would desynchronise the streams.

    An interrupt that arrives inside is kept and raised at the end of the outermost section. Signal handlers run
    in the main thread only, so only the main thread's sections count.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._deferred = False
        self._main = threading.get_ident()

    def defer(self) -> bool:
        """Called by the signal handler: whether the interrupt has been kept for later."""
        if self._depth > 0:
            self._deferred = True
            return True
        return False

    def __enter__(self) -> None:
        if threading.get_ident() == self._main:
            self._depth += 1

    def __exit__(self, *exc: object) -> None:
        if threading.get_ident() != self._main:
            return
        self._depth -= 1
        if self._depth == 0 and self._deferred:
            self._deferred = False
            raise KeyboardInterrupt

    def forget(self) -> None:
        """Drops a kept interrupt: the cell it was meant for is over."""
        self._deferred = False


class Marks:
    """Writes marks into both streams. Used as a context, it holds the lock and keeps interrupts out."""

    def __init__(self, nonce: str, fds: "List[int]") -> None:
        self._prefix = b"\x1e" + nonce.encode("ascii")
        # Copies, so that marks still arrive when user code redirects or closes descriptors 1 and 2.
        self._fds = [os.dup(fd) for fd in fds]
        self._lock = threading.RLock()
        self._number = 0
        #: The mark that ended the last cell.
        self._end = -1
        self.critical = Critical()
        #: The running cell: owner of everything that nobody else claims.
        self.active = ""
        #: The thread that is writing a mark.
        self.writer = 0
        #: Whether the running cell is certainly the only one that prints.
        self.alone = False
        #: The stream that was written to since the last mark.
        self.last_stream = None  # type: Optional[OutStream]
        self.streams = []  # type: List[OutStream]

    def __enter__(self) -> "Marks":
        self.critical.__enter__()
        self._lock.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
        self.critical.__exit__(*exc)

    def try_enter(self) -> bool:
        """Enters if that is possible without waiting."""
        self.critical.__enter__()
        if self._lock.acquire(False):
            return True
        self.critical.__exit__()
        return False

    def begin(self, cell: str, counted: bool) -> None:
        """A cell begins. ``counted``: the worker takes what it receives for this cell's output already.

        It does so when nothing was left behind by the cell before that could print (see ``end``). Then a mark
        is needed only when something has been printed nevertheless.
        """
        with self:
            self.active = cell
            self.alone = counted and self._number == self._end and not self._printed()
            if self.alone:
                return
            if counted:
                self._write("s", "")
            self.put("s", cell)

    def end(self, quiet: bool) -> Optional[int]:
        """The cell ends: what follows belongs to nobody. Returns the number of the last mark.

        Without a mark when none is needed: nothing has been printed, what C code or child processes have written
        is with the worker already, and (``quiet``) nothing is left that could write before the next cell does.
        """
        with self:
            self.active = ""
            if quiet and self.alone and self._number == self._end and not self._printed() and self._all_read():
                return None
            self._end = self.put("c", "")
            return self._end

    def _printed(self) -> bool:
        """Whether something has been printed since the last mark."""
        return self.last_stream is not None or any(stream.holding for stream in self.streams)

    def _all_read(self) -> bool:
        """Whether the worker has taken everything out of the sockets, as far as the system tells."""
        if _UNREAD is None:
            return False
        try:
            return all(fcntl.ioctl(fd, _UNREAD, _NONE) == _NONE for fd in self._fds)
        except OSError:
            return False

    def put(self, kind: str, owner: str) -> int:
        """Writes a mark behind everything that was printed, and returns its number.

        Kinds: ``s`` only orders, ``c`` says that a control frame belongs here. What follows on the streams
        belongs to the owner, a cell or nobody.
        """
        with self:
            self.flush()
            return self._write(kind, owner)

    def _write(self, kind: str, owner: str) -> int:
        self._number += 1
        data = self._prefix + (":%d:%s:%s\x1e" % (self._number, kind, owner)).encode("ascii")
        self.writer = threading.get_ident()
        try:
            for fd in self._fds:
                write_all(fd, data)
        finally:
            self.writer = 0
        self.last_stream = None
        return self._number

    @property
    def upcoming(self) -> int:
        """Number of the next mark; certain only while the lock is held."""
        return self._number + 1

    @property
    def helpers(self) -> int:
        """Threads that run for the streams."""
        return sum(stream.helped for stream in self.streams)

    def error_fd(self) -> int:
        """A copy of standard error that user code does not know."""
        return self._fds[1]

    def flush(self) -> None:
        """Sends what the streams hold back; what another thread is sending has gone too when this returns."""
        with self:
            for stream in self.streams:
                if stream.holding:
                    try:
                        stream.flush()
                    except OSError:
                        # User code has closed the descriptor, and its text has nowhere to go.
                        pass

    def before_fork(self) -> None:
        """What has been printed comes before what the child prints, and no helper thread is left running."""
        for stream in self.streams:
            stream.stop_flusher()

    def order(self, stream: "OutStream") -> None:
        """Called before text is added to a stream: keeps the order between the two streams."""
        if self.last_stream is not stream:
            if self.last_stream is not None:
                self.put("s", self.active)
            self.last_stream = stream

    def after_fork(self) -> None:
        """In a forked child the lock is free, whatever thread held it in the parent."""
        self._lock = threading.RLock()
        self.critical = Critical()
