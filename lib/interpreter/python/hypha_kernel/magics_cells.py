"""Cell magics, but for those of time."""

import contextlib
import io
import os
import shlex
import subprocess
import sys
from typing import Any, Dict, Iterator, List, Optional

from .magics_registry import Call, UsageError, cell_magic, line_magic
from .magics_shell import SList, communicate, output, run, start
from .processes import kill_group

# Programs


def _options(call: Call, with_value: List[str], without: List[str]) -> Dict[str, str]:
    """Takes ``--name value`` options from the beginning of a magic's text."""
    found = {}  # type: Dict[str, str]
    words = shlex.split(call.text)
    while words and words[0].startswith("--"):
        name, given, value = words.pop(0)[2:].partition("=")
        if name in without:
            found[name] = ""
        elif name not in with_value:
            raise UsageError("%%%%%s does not know the option --%s" % (call.name, name))
        elif given or words:
            found[name] = value if given else words.pop(0)
        else:
            raise UsageError("--%s of %%%%%s needs a value" % (name, call.name))
    call.text = " ".join(shlex.quote(word) for word in words)
    return found


@cell_magic("script")
def script(call: Call, body: str, _before: int) -> None:
    """%%script [--out NAME] [--err NAME] [--bg [--proc NAME]] [--no-raise-error] PROGRAM …: the cell is its input.

    With --bg the program goes on while other cells run, and %killbgscripts ends it; --out and --err then name
    files to read from.
    """
    options = _options(call, ["out", "err", "proc"], ["no-raise-error", "bg"])
    program = shlex.split(call.text)
    if not program:
        raise UsageError("%%script needs a program")
    try:
        if "bg" in options:
            _start_background(program, body.encode("utf-8", "surrogateescape"), options, call.namespace)
            return
        code = _feed(program, body.encode("utf-8", "surrogateescape"), options, call.namespace)
    except FileNotFoundError:
        raise UsageError("%%%%%s: there is no program %r" % (call.name, program[0])) from None
    call.namespace["_exit_code"] = code
    if code != 0 and "no-raise-error" not in options:
        raise subprocess.CalledProcessError(code, program)


def _feed(program: List[str], text: bytes, options: Dict[str, str], names: Dict[str, Any]) -> int:
    if "out" not in options and "err" not in options:
        return run(program, text)
    process = start(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if "out" in options else None,
        stderr=subprocess.PIPE if "err" in options else None,
    )
    printed = communicate(process, text)
    for name, data in zip(("out", "err"), printed):
        if name in options:
            names[options[name]] = data.decode("utf-8", "replace")
    return process.returncode


#: Programs started with ``--bg``.
_background = []  # type: List[subprocess.Popen[bytes]]


def _start_background(program: List[str], text: bytes, options: Dict[str, str], names: Dict[str, Any]) -> None:
    # A file rather than a pipe: nobody has to wait until the program has read its input.
    import tempfile  # what it needs would make every first start slower

    with tempfile.TemporaryFile() as file:
        file.write(text)
        file.seek(0)
        process = start(
            program,
            stdin=file,
            stdout=subprocess.PIPE if "out" in options else None,
            stderr=subprocess.PIPE if "err" in options else None,
            # An interrupt of a cell is not meant for it.
            start_new_session=True,
        )
    _background[:] = [one for one in _background if one.poll() is None] + [process]
    for option, value in (("out", process.stdout), ("err", process.stderr), ("proc", process)):
        if option in options:
            names[options[option]] = value


@line_magic("killbgscripts")
def kill_background(_call: Call) -> None:
    """%killbgscripts: ends the programs that were started with --bg."""
    running = [one for one in _background if one.poll() is None]
    for one in running:
        # With what it has started: the program leads a session of its own.
        kill_group(one.pid)
        one.wait()
    _background.clear()
    print("Killed %d program%s." % (len(running), "" if len(running) == 1 else "s"))


def _program(name: str, program: str) -> None:
    def run_program(call: Call, body: str, before: int) -> None:
        options = [word for word in shlex.split(call.text)]
        at = 0
        while at < len(options) and options[at].startswith("--"):
            at += 2 if options[at] in ("--out", "--err", "--proc") else 1
        words = options[:at] + [program if program else sys.executable] + options[at:]
        call.text = " ".join(shlex.quote(word) for word in words)
        script(call, body, before)

    run_program.__doc__ = "%%%%%s [--out NAME] [--err NAME] [--bg] [--no-raise-error]: runs the cell with %s." % (
        name,
        program or "Python, in a process of its own",
    )
    cell_magic(name)(run_program)


for _name in ("bash", "sh", "perl", "ruby"):
    _program(_name, _name)
_program("python", "")
_program("python3", "")


@cell_magic("system", "sx", "!")
def system_cell(call: Call, body: str, _before: int) -> SList:
    """%%system: the lines the commands of the cell print."""
    return output(call.namespace, (call.text + "\n" + body).strip())


# Files


@cell_magic("writefile", "file")
def writefile(call: Call, body: str, _before: int) -> None:
    """%%writefile [-a] FILE: writes the cell into a file; with -a adds it at the end."""
    text = call.text
    append = False
    for flag in ("-a ", "--append "):
        if text.startswith(flag):
            append, text = True, text[len(flag) :].strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if not text:
        raise UsageError("%%writefile needs a file name")
    path = os.path.expanduser(text)
    there = os.path.exists(path)
    with open(path, "a" if append else "w", encoding="utf-8", newline="") as file:
        file.write(body)
    print("%s %s" % ("Appending to" if append else "Overwriting" if there else "Writing", path))


# Displays

_MEDIA = {
    "html": ("text/html", "HTML"),
    "HTML": ("text/html", "HTML"),
    "markdown": ("text/markdown", "Markdown"),
    "latex": ("text/latex", "Latex"),
    "svg": ("image/svg+xml", "SVG"),
    "SVG": ("image/svg+xml", "SVG"),
    "javascript": ("application/javascript", "Javascript"),
    "js": ("application/javascript", "Javascript"),
}


@cell_magic(*_MEDIA)
def show(call: Call, body: str, _before: int) -> None:
    """%%html, %%markdown, %%latex, %%svg, %%javascript: shows the cell as what it is."""
    media, name = _MEDIA[call.name]
    metadata = {media: {"isolated": True}} if call.text == "--isolated" else {}
    text = "<IPython.core.display.%s object>" % name
    call.magics.publisher.send({media: body, "text/plain": text}, metadata)


# Capturing


class RichOutput:
    """A captured display."""

    def __init__(self, frame: Dict[str, Any], publish: Any) -> None:
        self._frame = frame
        self._publish = publish
        self.data = frame.get("data") or {}
        self.metadata = frame.get("metadata") or {}

    def _repr_mimebundle_(self, **_options: Any) -> Any:
        return self.data, self.metadata

    def display(self) -> None:
        """Shows it now."""
        self._publish(dict(self._frame))


class CapturedIO:
    """What ``%%capture NAME`` leaves behind: the text of both streams, and the displays."""

    def __init__(self) -> None:
        self._streams = {}  # type: Dict[str, io.StringIO]
        #: The displays, in order.
        self.outputs = []  # type: List[RichOutput]

    @property
    def stdout(self) -> str:
        """What was written to standard output."""
        return self._streams["stdout"].getvalue() if "stdout" in self._streams else ""

    @property
    def stderr(self) -> str:
        """What was written to standard error."""
        return self._streams["stderr"].getvalue() if "stderr" in self._streams else ""

    def show(self) -> None:
        """Shows everything again."""
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)
        for one in self.outputs:
            one.display()

    __call__ = show

    def __str__(self) -> str:
        return self.stdout


@contextlib.contextmanager
def captured_output(publisher: Any, kept: List[str], captured: CapturedIO) -> Iterator[None]:
    """Redirects what is not kept. Output of child processes started by ``!`` follows Python's streams."""
    publish = publisher._publish

    def collect(frame: Dict[str, Any]) -> None:
        if frame.get("op") == "display":
            captured.outputs.append(RichOutput(frame, publish))

    saved = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        if "no-" + name not in kept:
            captured._streams[name] = io.StringIO()
            setattr(sys, name, captured._streams[name])
    if "no-display" not in kept:
        publisher._publish = collect
    try:
        yield
    finally:
        sys.stdout, sys.stderr = saved
        publisher._publish = publish


@cell_magic("capture")
async def capture(call: Call, body: str, before: int) -> None:
    """%%capture [--no-stdout] [--no-stderr] [--no-display] [NAME]: runs the cell and keeps its output in a variable."""
    options = _options(call, [], ["no-stdout", "no-stderr", "no-display"])
    name = call.text  # type: Optional[str]
    if name and not name.isidentifier():
        raise UsageError("%%%%capture: %s is no name of a variable" % name)
    captured = CapturedIO()
    try:
        with captured_output(call.magics.publisher, list(options), captured):
            value = await call.magics.run(body, before, call.filename)
            if value is not None:
                call.magics.publisher.display(value)
            call.magics.figures.flush()
    finally:
        if name:
            call.namespace[name] = captured
