"""The display functions that cells use: ``display``, ``update_display``, ``clear_output``, ``DisplayHandle``."""

import os
from typing import Any, Callable, Dict, Optional, Tuple

from .formatters import Bundle, DisplayFormatter, encodable
from .pretty import MAX_TEXT  # noqa: F401  part of this module's face

#: Makes the bundles of everything that is shown; user code may register functions with it.
FORMATTER = DisplayFormatter()


def bundle(value: Any, include: Any = None, exclude: Any = None) -> Tuple[Bundle, Bundle]:
    """The MIME bundle of a value and its metadata. An empty bundle: the value displayed itself."""
    return FORMATTER.format(value, include=include, exclude=exclude)


def new_id() -> str:
    """A display id that nobody else has."""
    # Not by the module uuid, whose import takes a tenth of a first start.
    return os.urandom(16).hex()


def _merge(into: Bundle, more: Bundle) -> Bundle:
    for key, value in more.items():
        old = into.get(key)
        into[key] = _merge(dict(old), value) if isinstance(old, dict) and isinstance(value, dict) else value
    return into


class Publisher:
    """Sends displays to the worker, each at its place among the output."""

    def __init__(self, publish: Callable[[Dict[str, Any]], None]) -> None:
        self._publish = publish
        #: Where displays go: here, or to what user code captures them with.
        self.target = self  # type: Any

    def send(
        self,
        data: Bundle,
        metadata: Optional[Bundle] = None,
        display_id: Optional[str] = None,
        update: bool = False,
    ) -> None:
        """Publishes a MIME bundle (Jupyter's ``display_data`` and ``update_display_data``)."""
        if not isinstance(data, dict):
            raise TypeError("data must be a dict, got: %r" % (data,))
        if metadata is not None and not isinstance(metadata, dict):
            raise TypeError("metadata must be a dict, got: %r" % (metadata,))
        self._publish(
            {
                "op": "display",
                "data": {str(mime): encodable(item) for mime, item in data.items()},
                "metadata": metadata or {},
                "display_id": display_id,
                "update": update,
            }
        )

    def publish(
        self,
        data: Bundle,
        metadata: Optional[Bundle] = None,
        source: Any = None,
        *,
        transient: Optional[Bundle] = None,
        update: bool = False,
        **_options: Any
    ) -> None:
        """Publishes a MIME bundle; the form of ``get_ipython().display_pub.publish``."""
        self.send(data, metadata, (transient or {}).get("display_id"), update)

    def publish_display_data(
        self,
        data: Bundle,
        metadata: Optional[Bundle] = None,
        source: Any = None,
        *,
        transient: Optional[Bundle] = None,
        **options: Any
    ) -> None:
        """Publishes a MIME bundle, as ``IPython.display.publish_display_data`` does."""
        if transient:
            options["transient"] = transient
        self.target.publish(data=data, metadata=metadata, **options)

    def display(
        self,
        *objects: Any,
        include: Any = None,
        exclude: Any = None,
        metadata: Optional[Bundle] = None,
        transient: Optional[Bundle] = None,
        display_id: Any = None,
        raw: bool = False,
        clear: bool = False,
        **options: Any
    ) -> "Optional[DisplayHandle]":
        """Shows objects in the output of the cell, as ``IPython.display.display`` does."""
        transient = dict(transient or {})
        if display_id:
            display_id = new_id() if display_id is True else str(display_id)
            transient["display_id"] = display_id
        if options.get("update") and "display_id" not in transient:
            raise TypeError("display_id required for update_display")
        if not objects and display_id:
            # A place to be filled later.
            objects, raw = ({},), True
        if clear:
            self.clear_output(wait=True)
        for value in objects:
            if raw:
                data, extra = value, dict(metadata or {})
            else:
                data, extra = bundle(value, include, exclude)
                if not data:
                    continue
                _merge(extra, metadata or {})
            self.publish_display_data(data, extra, transient=transient, **options)
        return DisplayHandle(display_id, self) if display_id else None

    def update_display(self, obj: Any, *, display_id: str, **options: Any) -> None:
        """Replaces what was shown under a display id."""
        options["update"] = True
        self.display(obj, display_id=display_id, **options)

    def clear_output(self, wait: bool = False) -> None:
        """Clears the output of the cell; with ``wait`` only when something new comes."""
        if self.target is not self:
            self.target.clear_output(wait)
            return
        self._publish({"op": "clear", "wait": bool(wait)})

    def show_figure(self, figure: Any, metadata: Optional[Bundle] = None) -> None:
        """Shows a figure of matplotlib; one with nothing on it is left out."""
        data, extra = bundle(figure)
        if set(data) != {"text/plain"}:
            self.publish_display_data(data, _merge(extra, metadata or {}))


class DisplayHandle:
    """What ``display(..., display_id=True)`` returns: shows again, or updates in place."""

    #: The publisher of handles that user code makes itself.
    publisher = None  # type: Optional[Publisher]

    def __init__(self, display_id: Optional[str] = None, publisher: Optional[Publisher] = None) -> None:
        self.display_id = new_id() if display_id is None else display_id
        if publisher is not None:
            self.publisher = publisher

    def __repr__(self) -> str:
        return "<DisplayHandle display_id=%s>" % self.display_id

    def display(self, obj: Any, **options: Any) -> None:
        """Shows a value under this id."""
        self._publisher().display(obj, display_id=self.display_id, **options)

    def update(self, obj: Any, **options: Any) -> None:
        """Replaces what was shown under this id."""
        self._publisher().update_display(obj, display_id=self.display_id, **options)

    def _publisher(self) -> Publisher:
        if self.publisher is None:
            raise RuntimeError("there is no session to display in")
        return self.publisher
