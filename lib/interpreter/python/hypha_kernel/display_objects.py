"""The display classes of ``IPython.display``, for environments without IPython.

Each wraps data (given, or read from a file or a URL) and has the display method of its type of content.
"""

import base64
import html
import json
import mimetypes
import os
import struct
import warnings
from copy import deepcopy
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.request import urlopen


class DisplayObject:
    """Data to be displayed: given, or read from a file or a URL."""

    _read_flags = "r"
    metadata = None  # type: Optional[Dict[str, Any]]

    def __init__(self, data: Any = None, url: Any = None, filename: Any = None, metadata: Any = None) -> None:
        if isinstance(data, os.PathLike):
            data = str(data)
        if isinstance(data, str):
            if data.startswith("http") and url is None:
                url, filename, data = data, None, None
            elif filename is None and _exists(data):
                url, filename, data = None, data, None
        self.url = url
        self.filename = filename
        self.data = data
        self.metadata = metadata if metadata is not None else self.metadata or {}
        self.reload()
        self._check_data()

    def __repr__(self) -> str:
        return "<%s.%s object>" % (type(self).__module__, type(self).__name__)

    def _check_data(self) -> None:
        pass

    def _data_and_metadata(self) -> Any:
        return (self.data, deepcopy(self.metadata)) if self.metadata else self.data

    def reload(self) -> None:
        """Reads the file or URL again."""
        if self.filename is not None:
            encoding = None if "b" in self._read_flags else "utf-8"
            with open(self.filename, self._read_flags, encoding=encoding) as file:
                self.data = file.read()
        elif self.url is not None:
            with urlopen(self.url) as response:
                data = response.read()
                charset = response.headers.get_content_charset()
            if charset is None and "b" not in self._read_flags:
                charset = "utf-8"
            self.data = data.decode(charset, "replace") if charset else data


def _exists(path: str) -> bool:
    try:
        return os.path.exists(path)
    except (OSError, ValueError):
        return False


class TextDisplayObject(DisplayObject):
    """Text to be displayed."""

    def _check_data(self) -> None:
        if self.data is not None and not isinstance(self.data, str):
            raise TypeError("%s expects text, not %r" % (type(self).__name__, self.data))


class Pretty(TextDisplayObject):
    """Plain text, shown as it is."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.data)


class HTML(TextDisplayObject):
    """HTML."""

    def _repr_html_(self) -> Any:
        return self._data_and_metadata()

    def __html__(self) -> Any:
        return self._repr_html_()


class Markdown(TextDisplayObject):
    """Markdown."""

    def _repr_markdown_(self) -> Any:
        return self._data_and_metadata()


class Latex(TextDisplayObject):
    """LaTeX."""

    def _repr_latex_(self) -> Any:
        return self._data_and_metadata()


class Math(TextDisplayObject):
    """A formula in LaTeX."""

    def _repr_latex_(self) -> Any:
        text = r"$\displaystyle %s$" % self.data.strip("$")
        return (text, deepcopy(self.metadata)) if self.metadata else text


class SVG(DisplayObject):
    """An SVG drawing; what is around its ``svg`` element is left out."""

    _read_flags = "rb"
    _data = None  # type: Optional[str]

    @property
    def data(self) -> Any:
        """The ``svg`` element as text."""
        return self._data

    @data.setter
    def data(self, svg: Any) -> None:
        if svg is None:
            self._data = None
            return
        from xml.dom import minidom

        found = minidom.parseString(svg).getElementsByTagName("svg")
        text = found[0].toxml() if found else svg
        self._data = text.decode(errors="replace") if isinstance(text, bytes) else text

    def _repr_svg_(self) -> Any:
        return self._data_and_metadata()


class JSON(DisplayObject):
    """A dictionary or list, shown as a tree."""

    _data = None  # type: Any

    def __init__(
        self,
        data: Any = None,
        url: Any = None,
        filename: Any = None,
        expanded: bool = False,
        metadata: Any = None,
        root: str = "root",
        **options: Any
    ) -> None:
        shown = dict({"expanded": expanded, "root": root}, **(metadata or {}))
        shown.update(options)
        super().__init__(data=data, url=url, filename=filename, metadata=shown)

    def _check_data(self) -> None:
        if self.data is not None and not isinstance(self.data, (dict, list)):
            raise TypeError("%s expects JSONable dict or list, not %r" % (type(self).__name__, self.data))

    @property
    def data(self) -> Any:
        """The dictionary or list."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        if isinstance(data, (str, bytes)):
            if self.filename is None and self.url is None:
                warnings.warn("JSON expects JSONable dict or list, not JSON strings")
            data = json.loads(data)
        self._data = data

    def _repr_json_(self) -> Any:
        return self.data, self.metadata


class GeoJSON(JSON):
    """GeoJSON, shown as a map by clients that can."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data = {"application/geo+json": self.data, "text/plain": "<IPython.display.GeoJSON object>"}
        return data, {"application/geo+json": self.metadata}

    def _repr_json_(self) -> Any:
        return None


_STYLE = """var link = document.createElement("link");
link.rel = "stylesheet";
link.type = "text/css";
link.href = "%s";
document.head.appendChild(link);
"""
_SCRIPT = """new Promise(function(resolve, reject) {
var script = document.createElement("script");
script.onload = resolve;
script.onerror = reject;
script.src = "%s";
document.head.appendChild(script);
}).then(() => {
"""


class Javascript(TextDisplayObject):
    """JavaScript, run by clients that allow it, after the libraries and styles it needs."""

    def __init__(
        self, data: Any = None, url: Any = None, filename: Any = None, lib: Any = None, css: Any = None
    ) -> None:
        self.lib = _strings(lib)
        self.css = _strings(css)
        super().__init__(data=data, url=url, filename=filename)

    def _repr_javascript_(self) -> str:
        before = "".join(_STYLE % one for one in self.css) + "".join(_SCRIPT % one for one in self.lib)
        return before + self.data + "\n});" * len(self.lib)


def _strings(value: Any) -> List[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise TypeError("expected sequence, got: %r" % (value,))
    return list(value)


def _png_size(data: bytes) -> Tuple[int, int]:
    return struct.unpack(">ii", data[16:24])  # type: ignore[return-value]


def _gif_size(data: bytes) -> Tuple[int, int]:
    return struct.unpack("<HH", data[6:10])  # type: ignore[return-value]


def _jpeg_size(data: bytes) -> Tuple[int, int]:
    at = 2
    while not 0xC0 <= data[at + 1] <= 0xC2:
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    height, width = struct.unpack(">HH", data[at + 5 : at + 9])
    return width, height


#: Format, how its files begin, and where their size stands.
_IMAGES = [
    ("png", (b"\x89PNG\r\n\x1a\n",), _png_size),
    ("jpeg", (b"\xff\xd8",), _jpeg_size),
    ("gif", (b"GIF87a", b"GIF89a"), _gif_size),
    ("webp", (b"RIFF",), None),
]  # type: List[Tuple[str, Tuple[bytes, ...], Optional[Callable[[bytes], Tuple[int, int]]]]]


class Image(DisplayObject):
    """A PNG, JPEG, GIF or WebP image, embedded or (``url``) linked."""

    _read_flags = "rb"

    def __init__(
        self,
        data: Any = None,
        url: Any = None,
        filename: Any = None,
        format: Optional[str] = None,
        embed: Optional[bool] = None,
        width: Any = None,
        height: Any = None,
        retina: bool = False,
        unconfined: bool = False,
        metadata: Any = None,
        alt: Optional[str] = None,
    ) -> None:
        if isinstance(data, os.PathLike):
            data = str(data)
        name = filename if filename is not None else url if url is not None else data
        if name is None:
            raise ValueError("No image data found. Expecting filename, url, or data.")
        self.embed = embed if embed is not None else url is None
        if not isinstance(name, (str, os.PathLike)):
            name = None
        self.width, self.height, self.alt = width, height, alt
        self.retina, self.unconfined = retina, unconfined
        super().__init__(data=data, url=url, filename=filename, metadata=metadata)
        extension = os.path.splitext(str(name))[1][1:].lower() if name is not None else ""
        self.format = (format or self._found("name") or extension or "png").lower().replace("jpg", "jpeg")
        if self.embed and self.format not in [one[0] for one in _IMAGES]:
            raise ValueError("Cannot embed the '%s' image format" % self.format)
        if retina and self.embed and isinstance(self.data, bytes):
            size = self._found("size")
            if size is not None:
                self.width, self.height = size[0] // 2, size[1] // 2

    def _found(self, what: str) -> Any:
        """The format or the size that the data itself tells."""
        for name, starts, size in _IMAGES if isinstance(self.data, bytes) else []:
            if self.data.startswith(starts):
                return name if what == "name" else size(self.data) if size else None
        return None

    def reload(self) -> None:
        """Reads the file or URL again; a linked image is not read."""
        if self.embed:
            super().reload()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if not self.embed:
            return {"text/html": self._tag()}
        mime = "image/" + self.format
        data = base64.b64encode(self.data).decode("ascii") if isinstance(self.data, bytes) else self.data
        metadata = dict(self.metadata or {})
        for key in ("width", "height", "alt", "unconfined"):
            if getattr(self, key):
                metadata[key] = getattr(self, key)
        return {mime: data}, {mime: metadata} if metadata else {}

    def _tag(self) -> str:
        parts = ['src="%s"' % html.escape(str(self.url))]
        for key in ("width", "height", "alt"):
            if getattr(self, key):
                parts.append('%s="%s"' % (key, html.escape(str(getattr(self, key)))))
        if self.unconfined:
            parts.append('class="unconfined"')
        return "<img %s/>" % " ".join(parts)


class Video(DisplayObject):
    """A video, linked or embedded."""

    _read_flags = "rb"

    def __init__(
        self,
        data: Any = None,
        url: Any = None,
        filename: Any = None,
        embed: bool = False,
        mimetype: Optional[str] = None,
        width: Any = None,
        height: Any = None,
        html_attributes: str = "controls",
    ) -> None:
        if isinstance(data, os.PathLike):
            data = str(data)
        if url is None and isinstance(data, str) and (data.startswith(("http:", "https:")) or _exists(data)):
            url, data = (data, None) if data.startswith("http") else (None, data)
        if data is not None and not isinstance(data, str) and not (embed and mimetype):
            raise ValueError("To embed video data, give embed=True and its mimetype")
        self.mimetype, self.embed = mimetype, embed
        self.width, self.height, self.html_attributes = width, height, html_attributes
        self._name = str(filename or url or data)
        super().__init__(data=data, url=url, filename=filename)

    def reload(self) -> None:
        """Reads the file or URL again; a linked video is not read."""
        if self.embed:
            super().reload()

    def _repr_html_(self) -> str:
        size = "".join(
            ' %s="%s"' % (key, html.escape(str(getattr(self, key))))
            for key in ("width", "height")
            if getattr(self, key)
        )
        source = html.escape(str(self.url or self.filename or self._name))
        if self.embed:
            kind = self.mimetype or mimetypes.guess_type(self._name)[0] or "video/mp4"
            data = base64.b64encode(self.data).decode("ascii") if isinstance(self.data, bytes) else self.data
            source = "data:%s;base64,%s" % (kind, data)
        return '<video src="%s" %s%s>Your browser does not support the video element.</video>' % (
            source,
            self.html_attributes,
            size,
        )
