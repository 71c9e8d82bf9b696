"""Standard output and error of a session, and the marks that put them in order.

Bytes on file descriptors 1 and 2 come from everywhere: prints, C code, child processes. Each is a socket of its
own to the worker, so nothing that writes there can disturb the control channel. What connects the three is a
*mark*: a numbered record written into both streams at once. The worker lets nothing that follows mark ``n``
pass before both streams have reached it, and puts the control frame that names ``n`` exactly there. So a
display keeps its place between prints, prints to both streams keep their order, and a cell is over when its
last mark has arrived.
"""

import codecs
import io
import os
import select
import threading
import time
from collections import deque
from contextvars import ContextVar
from typing import Any, Deque, Iterable, List, Optional

#: The cell that the running code belongs to; tasks inherit it from the cell that made them.
CURRENT_CELL = ContextVar("hypha_cell", default="")  # type: ContextVar[str]

#: A write is sent at once when the last one is this long ago (seconds), else together with what follows.
INTERVAL = 0.005
#: Text held back at most (characters).
LIMIT = 65536


def write_all(fd: int, data: bytes) -> None:
    """Writes everything, however often the system takes only a part."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # Some program shares the descriptor and has made it non-blocking for everybody.
            waiting = select.poll()
            waiting.register(fd, select.POLLOUT)
            waiting.poll(1000)


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
        self._nonce = nonce
        # Copies, so that marks still arrive when user code redirects or closes descriptors 1 and 2.
        self._fds = [os.dup(fd) for fd in fds]
        self._lock = threading.RLock()
        self._number = 0
        self.critical = Critical()
        #: The running cell: owner of everything that nobody else claims.
        self.active = ""
        self.last_stream = None  # type: Optional[OutStream]
        self.streams = []  # type: List[OutStream]

    def __enter__(self) -> "Marks":
        self.critical.__enter__()
        self._lock.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
        self.critical.__exit__(*exc)

    def put(self, kind: str, owner: str) -> int:
        """Writes a mark and returns its number.

        Kinds: ``s`` only orders, ``c`` says that a control frame belongs here. What follows on the streams
        belongs to the owner, a cell or nobody.
        """
        with self:
            self.flush()
            self._number += 1
            data = b"\x1e%s:%d:%s:%s\x1e" % (
                self._nonce.encode("ascii"),
                self._number,
                kind.encode("ascii"),
                owner.encode("ascii"),
            )
            for fd in self._fds:
                write_all(fd, data)
            self.last_stream = None
            return self._number

    @property
    def upcoming(self) -> int:
        """Number of the next mark; certain only while the lock is held."""
        return self._number + 1

    def error_fd(self) -> int:
        """A copy of standard error that user code does not know."""
        return self._fds[1]

    def flush(self) -> None:
        """Sends what the streams hold back."""
        for stream in self.streams:
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


class OutStream(io.TextIOBase):
    """``sys.stdout`` and ``sys.stderr``: text goes out at once, or a few milliseconds later with what follows."""

    def __init__(self, name: str, fd: int, marks: Marks) -> None:
        super().__init__()
        self.name = "<%s>" % name
        self.mode = "w"
        self._fd = fd
        self._marks = marks
        self._in_child = False
        # Added to without the lock, see write().
        self._pending = deque()  # type: Deque[str]
        self._size = 0
        self._last_flush = 0.0
        self._flusher = None  # type: Optional[threading.Thread]
        self._stop = threading.Event()
        self._encoder = codecs.getincrementalencoder("utf-8")("backslashreplace")
        self.buffer = _Buffer(self)
        marks.streams.append(self)

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    line_buffering = True

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._fd

    def reconfigure(self, **_options: Any) -> None:
        """Accepted for compatibility: text is always UTF-8 and always flushed soon."""

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        if not text:
            return 0
        if self._in_child:
            self._write_in_child(text)
            return len(text)
        marks = self._marks
        cell = CURRENT_CELL.get()
        foreign = cell and marks.active and cell != marks.active
        # A line goes out at once when the stream was quiet; print() writes its text and its line end apart.
        due = "\n" in text and time.monotonic() - self._last_flush > INTERVAL
        if self._flusher and marks.last_stream is self and self._size < LIMIT and not (due or foreign):
            # Most writes of a cell that prints much come here, and the lock would cost more than the rest.
            self._pending.append(text)
            self._size += len(text)
            # The thread looks for text once more after it has signed off: one of the two sees the other.
            if self._flusher:
                return len(text)
            text, length = "", len(text)
        else:
            length = len(text)
        with marks:
            if foreign:
                self._write_for(cell, text)
                return length
            marks.order(self)
            if text:
                self._pending.append(text)
                self._size += length
            if due or self._size >= LIMIT:
                self.flush_text()
            elif self._flusher is None:
                self._flusher = threading.Thread(target=self._flush_later, daemon=True)
                self._flusher.start()
        return length

    def _write_in_child(self, text: str) -> None:
        """A forked child writes whole lines, so that several children do not mix theirs."""
        self._pending.append(text)
        self._size += len(text)
        if "\n" in text or self._size >= LIMIT:
            self._flush_child()

    def _flush_child(self) -> None:
        write_all(self._fd, self._take_pending())

    def _take_pending(self) -> bytes:
        # One by one: another thread may add text meanwhile, which must be neither lost nor sent twice.
        parts = []  # type: List[str]
        for _ in range(len(self._pending)):
            parts.append(self._pending.popleft())
        self._size = 0
        return self._encoder.encode("".join(parts))

    def _write_for(self, cell: str, text: str) -> None:
        """Text of a task that an earlier cell left behind goes to that cell, not to the running one."""
        self._marks.put("s", cell)
        write_all(self._fd, self._encoder.encode(text))
        self._marks.put("s", self._marks.active)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self._in_child:
            self.flush_text()
        elif self._pending:
            self._flush_child()

    def flush_text(self) -> None:
        """Sends what is held back."""
        with self._marks:
            if self._pending:
                data = self._take_pending()
                self._last_flush = time.monotonic()
                write_all(self._fd, data)

    def _flush_later(self) -> None:
        # The thread ends when the stream is quiet, so that user code which forks meets a single-threaded process.
        quiet = 0
        while quiet < 4:
            stopped = self._stop.wait(INTERVAL)
            with self._marks:
                quiet = 0 if self._pending else quiet + 1
                if stopped or quiet >= 4:
                    self._flusher = None
                    quiet = 4
                try:
                    self.flush_text()
                except OSError:
                    self._pending.clear()

    def stop_flusher(self) -> None:
        """Sends what is held back and ends the thread that would have done it."""
        thread = self._flusher
        if thread is not None and thread is not threading.current_thread():
            self._stop.set()
            # Bounded: the thread needs the lock, which the caller may hold.
            thread.join(0.1)
            self._stop.clear()
        try:
            self.flush()
        except OSError:
            pass

    def write_bytes(self, data: bytes) -> None:
        """Bytes written through ``.buffer`` keep their place among the text."""
        if self._in_child:
            write_all(self._fd, data)
            return
        with self._marks as marks:
            marks.order(self)
            self.flush_text()
            write_all(self._fd, data)

    def after_fork(self) -> None:
        """In a child the parent's unsent text is not the child's to send."""
        self._in_child = True
        self._pending.clear()
        self._size = 0
        self._flusher = None


class _Buffer(io.RawIOBase):
    """``sys.stdout.buffer``."""

    def __init__(self, stream: OutStream) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._stream.write_bytes(raw)
        return len(raw)

    def flush(self) -> None:
        self._stream.flush()
