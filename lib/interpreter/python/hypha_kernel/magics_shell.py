"""Shell commands of cells: ``!command``, ``lines = !command``, and what ``{…}`` and ``$…`` stand for in them."""

import codecs
import os
import re
import selectors
import string
import subprocess
import sys
import types
from typing import IO, Any, Dict, Iterator, List, Optional, Tuple

from .overlay import notice_installed
from .streams import OutStream

#: Time a program gets to end by itself after an interrupt, and then after being told to (seconds).
_GRACE = 0.5

_DOLLAR = re.compile(r"(.*?)\$(\$?[^\W\d][\w.]*)(?=([^']*'[^']*')*[^']*$)", re.DOTALL)
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh")


class SList(List[str]):
    """The lines a command printed, as IPython gives them."""

    @property
    def l(self) -> List[str]:  # noqa: E743  the name is IPython's
        """The lines."""
        return self

    list = l

    @property
    def n(self) -> str:
        """The lines as one text."""
        return "\n".join(self)

    nlstr = n

    @property
    def s(self) -> str:
        """The lines with blanks between them."""
        return " ".join(self)

    spstr = s

    def grep(self, pattern: str, prune: bool = False) -> "SList":
        """The lines in which a pattern is found, or (``prune``) is not."""
        return SList(line for line in self if bool(re.search(pattern, line, re.IGNORECASE)) != prune)

    def fields(self, *numbers: int) -> Any:
        """Words of every line, by their numbers."""
        if not numbers:
            return [line.split() for line in self]
        rows = [line.split() for line in self]
        return SList(
            " ".join(row[number] for number in numbers if -len(row) <= number < len(row))
            for row in rows
        )


class _Formatter(string.Formatter):
    """Fills in ``{expression}`` and ``$name``; what cannot be evaluated is the shell's and stays."""

    def pieces(self, text: str) -> Iterator[Tuple[str, Optional[str], str]]:
        """Literal texts, each with the expression that follows it and how that was written."""
        for literal, field, spec, conversion in self.parse(text):
            done = 0
            kept = ""
            for match in _DOLLAR.finditer(literal):
                before, name = match.group(1, 2)
                if name.startswith("$"):
                    kept += before + name
                else:
                    yield kept + before, name, "$" + name
                    kept = ""
                done = match.end()
            kept += literal[done:]
            if field is None:
                yield kept, None, ""
                continue
            expression = field + (":" + spec if spec else "")
            written = "{%s%s%s}" % (
                field,
                "!" + conversion if conversion else "",
                ":" + spec if spec else "",
            )
            yield kept, expression + ("!" + conversion if conversion else ""), written

    def filled(self, text: str, names: Dict[str, Any]) -> str:
        """The text with everything filled in that can be evaluated."""
        parts = []  # type: List[str]
        for literal, expression, written in self.pieces(text):
            parts.append(literal)
            if expression is None:
                continue
            conversion = None  # type: Optional[str]
            if len(expression) > 2 and expression[-2] == "!":
                expression, conversion = expression[:-2], expression[-1]
            try:
                value = eval(expression, names)  # noqa: S307  the user's own expression
                parts.append(str(self.convert_field(value, conversion)))  # type: ignore[arg-type]
            except Exception:
                parts.append(written)
        return "".join(parts)


def expand(text: str, frame: types.FrameType) -> str:
    """Fills the values of expressions into a line, as seen from the code it stands in."""
    if "{" not in text and "$" not in text:
        return text
    names = dict(frame.f_globals)
    names.update(frame.f_locals)
    try:
        return _Formatter().filled(text, names)
    except ValueError:
        # Brackets that are the shell's own.
        return text


def shell() -> str:
    """The shell commands run in: the user's when it is one, else ``/bin/sh``."""
    wanted = os.environ.get("SHELL") or "sh"
    import shutil  # see magics_cells.py

    found = shutil.which(wanted) if os.path.basename(wanted) in _SHELLS else None
    return found or "/bin/sh"


def system(namespace: Dict[str, Any], command: str) -> None:
    """``!command``: output goes out while it runs; ``_exit_code`` tells how it ended."""
    namespace["_exit_code"] = run([shell(), "-c", command])


def output(namespace: Dict[str, Any], command: str) -> SList:
    """``!!command``: both streams of a command as lines."""
    if command.rstrip().endswith("&"):
        raise OSError("Background processes are not supported here: their output cannot be waited for")
    process = start([shell(), "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _ = communicate(process)
    namespace["_exit_code"] = _code(process)
    return SList(text.decode("utf-8", "replace").splitlines())


def _code(process: "subprocess.Popen[bytes]") -> int:
    notice_installed()
    # Shells say 128 + n for a signal, Python -n: one way to say it.
    code = process.returncode
    return 128 - code if code > 128 else code


def start(program: List[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Starts a program in the session's process group, where interrupts reach it."""
    return subprocess.Popen(program, **options)


def communicate(
    process: "subprocess.Popen[bytes]", text: Optional[bytes] = None
) -> Tuple[bytes, bytes]:
    """Waits for a program and what it prints; it does not outlive an interrupt of the cell."""
    try:
        out, err = process.communicate(text)
    except BaseException:
        end(process)
        raise
    return out or b"", err or b""


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a program: it has been interrupted like the cell, and is told again if it does not mind."""
    for action in (process.terminate, process.kill):
        try:
            process.wait(_GRACE)
            break
        except subprocess.TimeoutExpired:
            action()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                pass
    process.wait()


def run(program: List[str], text: Optional[bytes] = None) -> int:
    """Runs a program whose output goes where the cell's output goes. Returns its exit code, -n for signal n."""
    stdin = {} if text is None else {"stdin": subprocess.PIPE}  # type: Dict[str, Any]
    if isinstance(sys.stdout, OutStream) and isinstance(sys.stderr, OutStream):
        process = start(program, **stdin)
        communicate(process, text)
        return _code(process)
    # User code has redirected the streams, for example by %%capture or contextlib.redirect_stdout.
    sys.stdout.flush()
    process = start(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **stdin)
    try:
        _pump(process, text)
        process.wait()
    except BaseException:
        end(process)
        raise
    return _code(process)


def _pump(process: "subprocess.Popen[bytes]", text: Optional[bytes]) -> None:
    """Copies the output of a program to Python's streams until it ends."""
    left = memoryview(text or b"")
    decoders = {}  # type: Dict[int, Any]
    with selectors.DefaultSelector() as selector:
        for stream, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            if stream is not None:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                decoders[stream.fileno()] = (decoder, target)
                selector.register(stream, selectors.EVENT_READ)
        if process.stdin is not None:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while decoders:
            for key, _events in selector.select():
                if key.fd in decoders:
                    data = os.read(key.fd, 65536)
                    decoder, target = decoders[key.fd]
                    target.write(decoder.decode(data, not data))
                    if not data:
                        selector.unregister(key.fileobj)
                        del decoders[key.fd]
                    continue
                try:
                    left = left[os.write(key.fd, left[:4096]) :]
                except BrokenPipeError:
                    left = left[:0]
                if not left:
                    selector.unregister(key.fileobj)
                    process.stdin.close()  # type: ignore[union-attr]
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
    for stream in (process.stdout, process.stderr):  # type: Optional[IO[bytes]]
        if stream is not None:
            stream.close()

