"""More display classes of ``IPython.display``: what becomes HTML elements, links, and the progress bar."""

import array
import base64
import html
import io
import mimetypes
import os
import sys
import wave
from typing import Any, Iterable, Iterator, List, Optional, Tuple
from urllib.parse import urlencode

from .display import DisplayHandle, new_id
from .display_objects import DisplayObject, TextDisplayObject


class Audio(DisplayObject):
    """Sound: a file, a URL, encoded bytes, or samples with their rate."""

    _read_flags = "rb"

    def __init__(
        self,
        data: Any = None,
        filename: Any = None,
        url: Any = None,
        embed: Optional[bool] = None,
        rate: Optional[int] = None,
        autoplay: bool = False,
        normalize: bool = True,
        *,
        element_id: Optional[str] = None
    ) -> None:
        if filename is None and url is None and data is None:
            raise ValueError("No audio data found. Expecting filename, url, or data.")
        if embed is False and url is None:
            raise ValueError("No url found. Expecting url when embed=False")
        self.embed = embed is True or url is None
        self.autoplay = autoplay
        self.element_id = element_id
        self.mimetype = "audio/wav"  # type: Optional[str]
        super().__init__(data=data, url=url, filename=filename)
        if self.data is not None and not isinstance(self.data, bytes):
            if rate is None:
                raise ValueError("rate must be specified when data is a numpy array or list of audio samples.")
            self.data = _wave(self.data, rate, normalize)

    def reload(self) -> None:
        """Reads the file or URL again; linked sound is not read."""
        if self.embed:
            super().reload()
        if self.filename is not None or self.url is not None:
            self.mimetype = mimetypes.guess_type(str(self.filename or self.url))[0]

    def _repr_html_(self) -> str:
        source = html.escape(str(self.url or ""))
        if self.embed and self.data is not None:
            source = "data:%s;base64,%s" % (self.mimetype, base64.b64encode(self.data).decode("ascii"))
        return '<audio %scontrols="controls"%s><source src="%s" type="%s" />%s</audio>' % (
            'id="%s" ' % html.escape(self.element_id) if self.element_id else "",
            ' autoplay="autoplay"' if self.autoplay else "",
            source,
            self.mimetype,
            "Your browser does not support the audio element.",
        )


def _wave(data: Any, rate: int, normalize: bool) -> bytes:
    """Samples (one channel, or a row per channel) as a WAV file of 16 bit."""
    rows = list(data)
    channels = [list(row) for row in rows] if rows and hasattr(rows[0], "__len__") else [rows]
    largest = max((abs(float(sample)) for row in channels for sample in row), default=0.0)
    if not normalize and largest > 1:
        raise ValueError("Audio data must be between -1 and 1 when normalize=False.")
    factor = 32767 / (largest if normalize and largest else 1)
    samples = array.array("h", [int(float(sample) * factor) for frame in zip(*channels) for sample in frame])
    if sys.byteorder == "big":
        samples.byteswap()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(channels))
        file.setframerate(rate)
        file.setsampwidth(2)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


class IFrame:
    """A page inside the output."""

    def __init__(
        self, src: Any, width: Any, height: Any, extras: Optional[Iterable[str]] = None, **params: Any
    ) -> None:
        self.src, self.width, self.height = src, width, height
        self.extras = list(extras or [])
        self.params = params

    def _repr_html_(self) -> str:
        params = "?" + urlencode(self.params) if self.params else ""
        return '<iframe width="%s" height="%s" src="%s%s" frameborder="0" allowfullscreen %s></iframe>' % (
            html.escape(str(self.width)),
            html.escape(str(self.height)),
            html.escape(str(self.src)),
            params,
            " ".join(self.extras),
        )


class YouTubeVideo(IFrame):
    """A video of YouTube, by its id."""

    def __init__(
        self, id: str, width: Any = 400, height: Any = 300, allow_autoplay: bool = False, **params: Any
    ) -> None:
        self.id = id
        extras = list(params.pop("extras", []))
        if allow_autoplay:
            extras.append('allow="autoplay"')
            params["autoplay"] = 1
        super().__init__("https://www.youtube.com/embed/%s" % id, width, height, extras, **params)


class Code(TextDisplayObject):
    """Source code; in colours where Pygments is installed."""

    def __init__(self, data: Any = None, url: Any = None, filename: Any = None, language: Optional[str] = None) -> None:
        self.language = language
        super().__init__(data=data, url=url, filename=filename)

    def __repr__(self) -> str:
        return str(self.data)

    def _highlighted(self, formatter: str, **options: Any) -> Optional[str]:
        try:
            from pygments import formatters, highlight, lexers, util
        except ImportError:
            return None
        try:
            if self.language is not None:
                lexer = lexers.get_lexer_by_name(self.language)
            elif self.filename is not None:
                lexer = lexers.get_lexer_for_filename(self.filename)
            else:
                lexer = lexers.guess_lexer(self.data)
        except util.ClassNotFound:
            lexer = lexers.get_lexer_by_name("text")
        return str(highlight(self.data, lexer, getattr(formatters, formatter)(**options)))

    def _repr_html_(self) -> str:
        text = self._highlighted("HtmlFormatter", noclasses=True)
        return "<pre>%s</pre>" % html.escape(self.data) if text is None else text

    def _repr_latex_(self) -> Optional[str]:
        return self._highlighted("LatexFormatter")


class FileLink:
    """A link to a file of the session."""

    def __init__(
        self, path: Any, url_prefix: str = "", result_html_prefix: str = "", result_html_suffix: str = "<br>"
    ) -> None:
        if os.path.isdir(path):
            raise ValueError("Cannot display a directory using FileLink. Use FileLinks to display '%s'." % path)
        self.path = os.fsdecode(path)
        self.url_prefix = url_prefix
        self.result_html_prefix, self.result_html_suffix = result_html_prefix, result_html_suffix

    def _link(self, path: str) -> str:
        return "%s<a href='%s%s' target='_blank'>%s</a>%s" % (
            self.result_html_prefix,
            self.url_prefix,
            html.escape(path),
            html.escape(path, quote=False),
            self.result_html_suffix,
        )

    def _repr_html_(self) -> str:
        if not os.path.exists(self.path):
            return "Path (<tt>%s</tt>) doesn't exist." % html.escape(self.path)
        return self._link(self.path)

    def __repr__(self) -> str:
        return os.path.abspath(self.path)


class FileLinks(FileLink):
    """Links to the files below a directory."""

    def __init__(
        self,
        path: Any,
        url_prefix: str = "",
        included_suffixes: Optional[List[str]] = None,
        result_html_prefix: str = "",
        result_html_suffix: str = "<br>",
        recursive: bool = True,
    ) -> None:
        if os.path.isfile(path):
            raise ValueError("Cannot display a file using FileLinks. Use FileLink to display '%s'." % path)
        self.path = os.fsdecode(path).rstrip("/")
        self.url_prefix = url_prefix
        self.result_html_prefix, self.result_html_suffix = result_html_prefix, result_html_suffix
        self.included_suffixes = included_suffixes
        self.recursive = recursive

    def _files(self) -> Iterator[Tuple[str, List[str]]]:
        suffixes = tuple(self.included_suffixes or [""])
        for folder, folders, names in sorted(os.walk(self.path)):
            if not self.recursive and folder != self.path:
                return
            yield folder, sorted(name for name in names if name.endswith(suffixes))

    def _repr_html_(self) -> str:
        if not os.path.exists(self.path):
            return "Path (<tt>%s</tt>) doesn't exist." % html.escape(self.path)
        parts = []  # type: List[str]
        for folder, names in self._files():
            parts.append("%s/<br>" % html.escape(folder))
            parts += ["&nbsp;&nbsp;" + self._link(os.path.join(folder, name)) for name in names]
        return "\n".join(parts)

    def __repr__(self) -> str:
        lines = []  # type: List[str]
        for folder, names in self._files():
            lines += [folder + "/"] + ["  " + name for name in names]
        return "\n".join(lines)


class ProgressBar(DisplayObject):
    """A bar that moves while it is iterated over."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.html_width = "60ex"
        self.text_width = 60
        self._progress = 0
        self._handle = DisplayHandle(new_id())

    def __repr__(self) -> str:
        filled = "=" * int((self.progress / self.total if self.total else 0) * self.text_width)
        return "[%s] %d/%d" % (filled.ljust(self.text_width), self.progress, self.total)

    def _repr_html_(self) -> str:
        return "<progress style='width:%s' max='%s' value='%s'></progress>" % (
            self.html_width,
            self.total,
            self.progress,
        )

    def display(self) -> None:
        """Shows the bar."""
        self._handle.display(self)

    def update(self) -> None:
        """Shows the progress in the bar's place."""
        self._handle.update(self)

    @property
    def progress(self) -> int:
        """How far it is; setting it moves the bar."""
        return self._progress

    @progress.setter
    def progress(self, value: int) -> None:
        self._progress = value
        self.update()

    def __iter__(self) -> "ProgressBar":
        self.display()
        self._progress = -1
        return self

    def __next__(self) -> int:
        self.progress += 1
        if self.progress < self.total:
            return self.progress
        raise StopIteration
