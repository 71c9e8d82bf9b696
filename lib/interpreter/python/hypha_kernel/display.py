"""Rich results: MIME bundles in IPython's order, and the display functions cells use."""

import base64
import inspect
import pprint
import traceback
import uuid
from typing import Any, Callable, Dict, Optional, Tuple

Bundle = Dict[str, Any]

_METHODS = [
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
    ("application/pdf", "_repr_pdf_"),
]

#: Objects that answer to every name (mocks, proxies) also answer to this one, and are not asked further.
_CANARY = "_hypha_canary_method_should_not_exist_"

#: Longest plain text of one value (characters).
MAX_TEXT = 1000000


def _method(value: Any, name: str) -> Optional[Callable[..., Any]]:
    """A display method of a value; classes themselves and objects that fake attributes have none."""
    if inspect.isclass(value):
        return None
    try:
        if getattr(value, _CANARY, None) is not None:
            return None
        method = getattr(value, name, None)
    except Exception:
        return None
    return method if callable(method) else None


def _encodable(data: Any) -> Any:
    return base64.b64encode(data).decode("ascii") if isinstance(data, (bytes, bytearray)) else data


def _split(answer: Any) -> Tuple[Any, Any]:
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict):
        return answer
    return answer, None


def _guarded(call: Callable[[], Any]) -> Any:
    """A formatter that fails says so on standard error and never fails the cell."""
    try:
        return call()
    except Exception:
        traceback.print_exc()
        return None


def _plain(value: Any) -> str:
    try:
        if type(value) in (dict, list, tuple, set, frozenset):
            text = pprint.pformat(value, width=79, **_PPRINT)
        else:
            text = repr(value)
        if not isinstance(text, str):
            text = str(text)
    except Exception as error:
        traceback.print_exc()
        text = "<%s object: repr() failed with %s>" % (type(value).__name__, type(error).__name__)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


_PPRINT = {"sort_dicts": False}  # type: Dict[str, Any]


def _figure_png(value: Any) -> Optional[bytes]:
    """The PNG of a matplotlib figure, which has no ``_repr_png_`` of its own."""
    for cls in type(value).__mro__:
        if cls.__module__ == "matplotlib.figure" and cls.__name__ == "Figure":
            from .inline_figures import figure_png

            return figure_png(value)
    return None


def bundle(value: Any) -> Tuple[Bundle, Bundle]:
    """The MIME bundle of a value and its metadata. An empty bundle: the value displayed itself."""
    data = {}  # type: Bundle
    metadata = {}  # type: Bundle
    itself = _method(value, "_ipython_display_")
    if itself is not None:
        shown = _guarded(lambda: (itself(), True)[1])  # type: ignore[misc]
        if shown:
            return {}, {}
    whole = _method(value, "_repr_mimebundle_")
    if whole is not None:
        answer, extra = _split(_guarded(lambda: whole(include=None, exclude=None)))  # type: ignore[misc]
        if isinstance(answer, dict):
            data.update({mime: _encodable(item) for mime, item in answer.items()})
            metadata.update(extra or {})
    for mime, name in _METHODS:
        method = _method(value, name) if mime not in data else None
        if method is not None:
            answer, extra = _split(_guarded(method))
            if answer is not None:
                data[mime] = _encodable(answer)
                if extra:
                    metadata[mime] = extra
    if "image/png" not in data:
        png = _guarded(lambda: _figure_png(value))
        if png is not None:
            data["image/png"] = _encodable(png)
    if "text/plain" not in data:
        data["text/plain"] = _plain(value)
    return data, metadata


class Publisher:
    """Sends displays to the worker, each at its place among the output."""

    def __init__(self, publish: Callable[[Dict[str, Any]], None]) -> None:
        self._publish = publish

    def send(
        self,
        data: Bundle,
        metadata: Optional[Bundle] = None,
        display_id: Optional[str] = None,
        update: bool = False,
    ) -> None:
        """Publishes a MIME bundle (Jupyter's ``display_data`` and ``update_display_data``)."""
        self._publish(
            {
                "op": "display",
                "data": data,
                "metadata": metadata or {},
                "display_id": display_id,
                "update": update,
            }
        )

    def display(
        self,
        *objects: Any,
        raw: bool = False,
        display_id: Any = None,
        update: bool = False,
        metadata: Optional[Bundle] = None,
        **_options: Any
    ) -> "Optional[DisplayHandle]":
        """Shows objects in the output of the cell, as ``IPython.display.display`` does."""
        handle = None  # type: Optional[DisplayHandle]
        if display_id is not None:
            handle = DisplayHandle(self, uuid.uuid4().hex if display_id is True else str(display_id))
        for value in objects:
            data, extra = (value, {}) if raw else bundle(value)
            extra = dict(extra, **(metadata or {}))
            if data:
                self.send(data, extra, handle.display_id if handle else None, update)
        return handle

    def update_display(self, value: Any, *, display_id: str, **options: Any) -> None:
        """Replaces what was shown under a display id."""
        self.display(value, display_id=display_id, update=True, **options)

    def clear_output(self, wait: bool = False) -> None:
        """Clears the output of the cell; with ``wait`` only when something new comes."""
        self._publish({"op": "clear", "wait": bool(wait)})


class DisplayHandle:
    """What ``display(..., display_id=True)`` returns: shows again, or updates in place."""

    def __init__(self, publisher: Publisher, display_id: str) -> None:
        self._publisher = publisher
        self.display_id = display_id

    def __repr__(self) -> str:
        return "<DisplayHandle display_id=%s>" % self.display_id

    def display(self, value: Any, **options: Any) -> None:
        """Shows a value under this id."""
        self._publisher.display(value, display_id=self.display_id, **options)

    def update(self, value: Any, **options: Any) -> None:
        """Replaces what was shown under this id."""
        self._publisher.update_display(value, display_id=self.display_id, **options)
