"""``sys.stdout`` and ``sys.stderr`` of a session.

Printing is as fast as to a file, since it is the same C code: the streams are ``TextIOWrapper``s whose bytes go to a
``_Sink``. Two speeds:

- *slow*: every write reaches ``OutStream._write`` at once, which knows whose text it is, keeps the order of the two
  streams, sends a line at once when it was quiet before, and else lets a helper thread send it with what follows.
- *fast*: while the helper thread runs and only the running cell can print, text is collected by the C code alone.
  The helper thread takes it every few milliseconds, and makes the stream slow before it sends it, so that a cell
  that prints faster than the worker reads is made to wait.
"""

import io
import threading
import time
from collections import deque
from typing import Any, Deque, Optional

from .marks import CURRENT_CELL, Marks, write_all

#: A write is sent at once when the last one is this long ago (seconds), else together with what follows.
INTERVAL = 0.005
#: Text held back at most when the stream is slow (bytes).
LIMIT = 512 * 1024
#: Text the C code collects in one piece (bytes).
_PIECE = 65536
#: Average size of texts up to which it is worth to let the C code collect them (bytes).
_SMALL = 256


class _Sink:
    """What the C code writes to: ``write`` is replaced with the speed."""

    closed = False
    mode = "w"

    def __init__(self, stream: "OutStream", name: str, fd: int) -> None:
        self.name = "<%s>" % name
        self._fd = fd
        self.write = None  # type: Any

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._fd

    def flush(self) -> None:
        """Nothing is held here."""

    close = flush


class OutStream(io.TextIOWrapper):
    """Text goes out at once, or a few milliseconds later with what follows."""

    def __init__(self, name: str, fd: int, marks: Marks) -> None:
        self._sink = _Sink(self, name, fd)
        super().__init__(  # type: ignore[call-arg]
            self._sink, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True
        )
        self._CHUNK_SIZE = _PIECE
        self.mode = "w"
        self._fd = fd
        self._marks = marks
        self._in_child = False
        # Added to without the lock, see _write().
        self._pending = deque()  # type: Deque[bytes]
        self._size = 0
        self._fast = False
        self._last_flush = 0.0
        self._flusher = None  # type: Optional[threading.Thread]
        self._stop = threading.Event()
        self._bytes = _Buffer(self)
        self._sink.write = self._write
        marks.streams.append(self)

    @property
    def buffer(self) -> "_Buffer":  # type: ignore[override]
        """Takes bytes."""
        return self._bytes

    def reconfigure(self, **_options: Any) -> None:
        """Accepted for compatibility: text is always UTF-8 and always flushed soon."""

    def close(self) -> None:
        """Output goes on to the end of the session, so this only flushes."""
        self.flush()

    def detach(self) -> Any:
        """Not possible. Raises ``io.UnsupportedOperation``."""
        raise io.UnsupportedOperation("detach")

    @property
    def helped(self) -> bool:
        """Whether a thread runs that sends what is held back."""
        return self._flusher is not None

    @property
    def holding(self) -> bool:
        """Whether something may wait to be sent."""
        return self._fast or bool(self._pending)

    # Writing

    def _write(self, data: bytes) -> int:
        """What every write comes to at slow speed."""
        length = len(data)
        if self._in_child:
            self._write_in_child(data)
            return length
        marks = self._marks
        if marks.writer and marks.writer == threading.get_ident():
            # Printed by a destructor that the garbage collector calls between the two halves of a mark.
            self._pending.append(data)
            return length
        cell = CURRENT_CELL.get()
        foreign = cell and cell != marks.active
        # A line goes out at once when the stream was quiet; print() writes its text and its line end apart.
        due = b"\n" in data and time.monotonic() - self._last_flush > INTERVAL
        if self._flusher and marks.last_stream is self and self._size < LIMIT and not (due or foreign):
            # Most writes of a cell that prints much come here, and the lock would cost more than the rest.
            self._pending.append(data)
            self._size += length
            # The thread looks for text once more after it has signed off: one of the two sees the other.
            if self._flusher:
                # Large texts are fast anyway, and too much of them would be collected.
                count = len(self._pending)
                if marks.alone and count >= 16 and self._size < _SMALL * count:
                    self._speed_up()
                return length
            data = b""
        with marks:
            if foreign:
                self._write_for(cell, data)
                return length
            marks.order(self)
            if data:
                self._pending.append(data)
                self._size += length
            if due or self._size >= LIMIT:
                self.flush_text()
            elif self._flusher is None:
                self._flusher = threading.Thread(target=self._flush_later, daemon=True)
                self._flusher.start()
        return length

    def _speed_up(self) -> None:
        if not self._marks.try_enter():
            # The helper thread is sending: the cell goes slowly meanwhile, and waits when it gets too far ahead.
            return
        try:
            # Without the thread nobody would take what is collected.
            if self._flusher is not None:
                self._fast = True
                self._sink.write = self._pending.append
                self._set_write_through(False)
        finally:
            self._marks.__exit__()

    def _slow_down(self) -> None:
        """What the C code has collected joins what waits, and every write is seen again."""
        if self._fast:
            # What the C code holds goes behind what waits already, whatever the speed.
            self._sink.write = self._pending.append
            super().flush()
            self._set_write_through(True)
            self._sink.write = self._write
            self._fast = False

    def _set_write_through(self, value: bool) -> None:
        # The original flushes by way of flush(), which must not be the one below.
        self._switching = True
        try:
            super().reconfigure(write_through=value)
        finally:
            self._switching = False

    _switching = False

    def _write_in_child(self, data: bytes) -> None:
        """A forked child writes whole lines, so that several children do not mix theirs."""
        self._pending.append(data)
        self._size += len(data)
        if b"\n" in data or self._size >= LIMIT:
            self._flush_child()

    def _flush_child(self) -> None:
        write_all(self._fd, self._take_pending())

    def _take_pending(self) -> bytes:
        # One by one: another thread may add text meanwhile, which must be neither lost nor sent twice.
        pending = self._pending
        self._size = 0
        if len(pending) == 1:
            return pending.popleft()
        return b"".join([pending.popleft() for _ in range(len(pending))])

    def _write_for(self, cell: str, data: bytes) -> None:
        """Text of a task that an earlier cell left behind goes to that cell, not to the running one."""
        self._marks.put("s", cell)
        write_all(self._fd, data)
        self._marks.put("s", self._marks.active)

    def write_bytes(self, data: bytes) -> None:
        """Bytes written through ``.buffer`` keep their place among the text."""
        if self._in_child:
            write_all(self._fd, data)
            return
        with self._marks as marks:
            marks.order(self)
            self.flush_text()
            write_all(self._fd, data)

    # Sending

    def flush(self) -> None:
        """Sends what is held back."""
        if self._switching:
            return
        if not self._in_child:
            self.flush_text()
        elif self._pending:
            self._flush_child()

    def flush_text(self) -> bool:
        """Sends what is held back. Returns whether there was something."""
        with self._marks:
            self._slow_down()
            if not self._pending:
                return False
            data = self._take_pending()
            self._last_flush = time.monotonic()
            write_all(self._fd, data)
            return True

    def _flush_later(self) -> None:
        # The thread ends when the stream is quiet, so that user code which forks meets a single-threaded process.
        quiet = 0
        while quiet < 4:
            stopped = self._stop.wait(INTERVAL)
            with self._marks:
                quiet = 0 if self._try_flush() else quiet + 1
                if stopped or quiet >= 4:
                    self._flusher = None
                    quiet = 4
                    self._try_flush()

    def _try_flush(self) -> bool:
        try:
            return self.flush_text()
        except OSError:
            self._pending.clear()
            return False

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

    def after_fork(self) -> None:
        """In a child the parent's unsent text is not the child's to send."""
        self._slow_down()
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
