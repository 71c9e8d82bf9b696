"""Frames between Python and the worker.

A frame is two big-endian 32-bit lengths, a JSON header of the first length, and raw bytes of the second.
"""

import json
import math
import socket
import struct
import threading
from typing import Any, Dict, Iterator, Tuple

_LENGTHS = struct.Struct(">II")

#: A larger header cannot be meant seriously; it protects against a peer that speaks something else.
MAX_HEADER = 256 * 1024 * 1024

Header = Dict[str, Any]
Frame = Tuple[Header, bytes]


# Lone surrogates (text that is not valid Unicode) survive as escapes only in ASCII mode, which is the default.
_dumps = json.JSONEncoder(separators=(",", ":"), default=str, allow_nan=False).encode


def _plain(value: Any) -> Any:
    """What JSON can carry: names become text, and numbers that JSON does not know become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def encode_header(header: Header) -> bytes:
    """The JSON of a header. Raises ``ValueError`` for one that the worker would refuse."""
    try:
        text = _dumps(header)
    except (TypeError, ValueError):
        text = _dumps(_plain(header))
    if len(text) > MAX_HEADER:
        raise ValueError("cannot show a value of %d bytes" % len(text))
    return text.encode("ascii")


def encode(header: Header, blob: bytes = b"") -> bytes:
    """The bytes of one frame. Raises ``ValueError`` for one that the worker would refuse."""
    data = encode_header(header)
    return _LENGTHS.pack(len(data), len(blob)) + data + blob


class Channel:
    """A connected socket that carries frames. Sending is safe from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()
        self._lock = threading.RLock()

    @classmethod
    def connect(cls, path: str, token: str, role: str) -> "Channel":
        """Connects to the worker's socket and says who this is."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        channel = cls(sock)
        channel.send({"token": token, "role": role})
        return channel

    def send(self, header: Header, blob: bytes = b"") -> None:
        """Sends one frame whole."""
        self.send_encoded(encode(header, blob))

    def send_encoded(self, data: bytes) -> None:
        """Sends what ``encode`` made."""
        with self._lock:
            self.sock.sendall(data)

    def take(self) -> Iterator[Frame]:
        """Frames that have arrived completely."""
        buffer = self._buffer
        while len(buffer) >= _LENGTHS.size:
            header_size, blob_size = _LENGTHS.unpack_from(buffer)
            if header_size > MAX_HEADER:
                raise ValueError("frame header of %d bytes" % header_size)
            end = _LENGTHS.size + header_size + blob_size
            if len(buffer) < end:
                return
            split = _LENGTHS.size + header_size
            header = json.loads(buffer[_LENGTHS.size : split].decode("utf-8"))
            blob = bytes(buffer[split:end])
            del buffer[:end]
            yield header, blob

    def feed(self) -> bool:
        """Reads what is there without waiting. False at end of file."""
        try:
            data = self.sock.recv(65536, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def after_fork(self) -> None:
        """Makes the lock usable in a child, whatever thread held it in the parent."""
        self._lock = threading.RLock()
