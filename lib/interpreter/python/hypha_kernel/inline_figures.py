"""A matplotlib backend that shows figures in the output of the cell, without IPython.

``MPLBACKEND=module://hypha_inline_figures`` names it; a finder serves the module, so nothing is put into the
environment and matplotlib is imported only when user code does it. The same module is served as
``matplotlib_inline.backend_inline``, Jupyter's own backend, which cannot work without IPython's shell.

Semantics are those of Jupyter's inline backend: at the end of a cell all open figures are shown and closed when
one was made while matplotlib was interactive (``plt.ioff()`` leaves figures to ``plt.show()``).
"""

import importlib.machinery
import io
import os
import struct
import sys
from types import ModuleType
from typing import Any, Callable, Dict, Optional, Set, Tuple

from .formatters import DisplayFormatter, report

BACKEND_MODULE = "hypha_inline_figures"
#: The names the backend is served under, and the package that may have to be made up for one of them.
_JUPYTER_PACKAGE = "matplotlib_inline"
_JUPYTER_BACKEND = "matplotlib_inline.backend_inline"
_NAMES = ("module://" + BACKEND_MODULE, "module://" + _JUPYTER_BACKEND, "inline")

_FIGURE = ("matplotlib.figure", "Figure")
#: Format names, their MIME type and the name that matplotlib has for them.
_FORMATS = {
    "png": ("image/png", "png"),
    "retina": ("image/png", "png"),
    "png2x": ("image/png", "png"),
    "jpg": ("image/jpeg", "jpg"),
    "jpeg": ("image/jpeg", "jpg"),
    "svg": ("image/svg+xml", "svg"),
    "pdf": ("application/pdf", "pdf"),
}

Show = Callable[[Any, Optional[Dict[str, Any]]], None]


def render(figure: Any, kind: str, options: Dict[str, Any]) -> Any:
    """A figure in a format, cropped as Jupyter's inline backend does; ``None`` for one with nothing on it."""
    if not figure.axes and not figure.lines:
        return None
    doubled = kind in ("retina", "png2x")
    buffer = io.BytesIO()
    if figure.canvas is None or not hasattr(figure.canvas, "print_png"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure)
    settings = {
        "format": _FORMATS[kind][1],
        "bbox_inches": "tight",
        "facecolor": figure.get_facecolor(),
        "edgecolor": figure.get_edgecolor(),
        "dpi": figure.dpi * 2 if doubled else figure.dpi,
    }
    settings.update(options)
    figure.canvas.print_figure(buffer, **settings)
    data = buffer.getvalue()
    if kind == "svg":
        return data.decode("utf-8")
    if doubled:
        width, height = struct.unpack(">ii", data[16:24])
        return data, {"width": width // 2, "height": height // 2}
    return data


class Figures:
    """Serves the backend module and shows what is open at the end of a cell."""

    def __init__(self, show: Show, formatter: DisplayFormatter) -> None:
        self._show = show
        self._formatter = formatter
        self._pid = os.getpid()
        #: Whether the end of the cell has something to show.
        self._made = False
        #: Whether figures are closed at the end of the cell that shows them.
        self.close = True
        self._formats = set()  # type: Set[str]
        self._options = {}  # type: Dict[str, Any]
        self.set_formats("png")

    def install(self) -> None:
        """Makes the backend importable."""
        sys.meta_path.insert(0, self)

    def set_formats(self, *formats: Any, **options: Any) -> None:
        """Chooses the formats of figures: ``png``, ``retina``, ``jpeg``, ``svg``, ``pdf``."""
        names = set()  # type: Set[str]
        for one in formats:
            names.update([one] if isinstance(one, str) else one)
        unknown = names.difference(_FORMATS)
        if unknown or not names:
            raise ValueError("supported formats are: %s not %s" % (sorted(_FORMATS), sorted(unknown)))
        self._formats, self._options = names, dict(options)
        for mime, _name in _FORMATS.values():
            formatter = self._formatter.formatters[mime]
            formatter.pop(".".join(_FIGURE), None)
            figure = sys.modules.get("matplotlib.figure")
            if figure is not None:
                formatter.pop(figure.Figure, None)
        for name in names:
            formatter = self._formatter.formatters[_FORMATS[name][0]]
            formatter.for_type_by_name(*_FIGURE, func=_renderer(name, options))

    @property
    def formats(self) -> Set[str]:
        """The formats of figures; set to one name or to several."""
        return set(self._formats)

    @formats.setter
    def formats(self, names: Any) -> None:
        self.set_formats(names, **self._options)

    @property
    def options(self) -> Dict[str, Any]:
        """Options of matplotlib's ``print_figure()``."""
        return dict(self._options)

    @options.setter
    def options(self, options: Dict[str, Any]) -> None:
        self.set_formats(self._formats, **options)

    def set_close(self, close: bool = True) -> None:
        """Whether figures are closed at the end of the cell that shows them."""
        self.close = close

    def imported(self, matplotlib: ModuleType) -> None:
        """Called when user code has imported matplotlib: with this backend it starts interactive, as in Jupyter."""
        if os.environ.get("MPLBACKEND", "") in _NAMES:
            matplotlib.interactive(True)  # type: ignore[attr-defined]

    # The backend module

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname in (BACKEND_MODULE, _JUPYTER_BACKEND):
            return importlib.machinery.ModuleSpec(fullname, self)
        if fullname == _JUPYTER_PACKAGE:
            # The real package when there is one: it has more than the backend.
            real = importlib.machinery.PathFinder.find_spec(fullname, path)
            return real or importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> Optional[ModuleType]:
        return None

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == _JUPYTER_PACKAGE:
            return
        from matplotlib.backend_bases import FigureManagerBase
        from matplotlib.backends import backend_agg

        figures = self

        class InlineManager(FigureManagerBase):  # type: ignore[misc]
            def show(self) -> None:
                figures.show_one(self)

            @classmethod
            def pyplot_show(cls, *args: Any, **kwargs: Any) -> None:
                figures.show_all()

        class InlineCanvas(backend_agg.FigureCanvasAgg):  # type: ignore[misc]
            manager_class = InlineManager

        def given_figure(num: int, figure: Any) -> Any:
            import matplotlib

            figures._made = figures._made or matplotlib.is_interactive()
            return InlineManager(InlineCanvas(figure), num)

        def new_figure(num: int, *args: Any, **kwargs: Any) -> Any:
            from matplotlib.figure import Figure

            return given_figure(num, kwargs.pop("FigureClass", Figure)(*args, **kwargs))

        module.__dict__.update(
            {
                "FigureCanvas": InlineCanvas,
                "FigureManager": InlineManager,
                "new_figure_manager": new_figure,
                "new_figure_manager_given_figure": given_figure,
                "show": lambda *args, **kwargs: self.show_all(),
                "flush_figures": self.flush,
                # Drawing after every command would be wasted: figures are drawn when they are shown.
                "draw_if_interactive": lambda: None,
                "set_matplotlib_formats": self.set_formats,
                "set_matplotlib_close": self.set_close,
            }
        )

    # Showing

    def show_one(self, manager: Any) -> None:
        """Shows one figure at its place in the output, and closes it."""
        from matplotlib._pylab_helpers import Gcf

        self._display(manager.canvas.figure)
        Gcf.destroy(manager)

    def show_all(self, close: bool = True) -> None:
        """Shows all open figures, oldest first, and closes them: ``plt.show()``."""
        self._made = False
        helpers = sys.modules.get("matplotlib._pylab_helpers")
        if helpers is None:
            return
        managers = [
            manager
            for manager in helpers.Gcf.get_all_fig_managers()
            if type(manager).__module__ == __name__
        ]
        try:
            for manager in managers:
                self._display(manager.canvas.figure)
        finally:
            for manager in managers if close else []:
                helpers.Gcf.destroy(manager)

    @property
    def pending(self) -> bool:
        """Whether figures may have been made that were not shown yet."""
        return bool(self._made)

    def flush(self) -> None:
        """Shows what the end of a cell has to show. Never fails the cell."""
        if not self._made or os.getpid() != self._pid:
            return
        try:
            self.show_all(self.close)
        except Exception as error:
            report(error)

    def _display(self, figure: Any) -> None:
        self._show(figure, _background(figure))


def _renderer(kind: str, options: Dict[str, Any]) -> Callable[[Any], Any]:
    return lambda figure: render(figure, kind, options)


def _background(figure: Any) -> Optional[Dict[str, Any]]:
    """What a transparent figure must lie on for its labels to be legible."""
    from matplotlib import colors

    if colors.to_rgba(figure.get_facecolor())[3] >= 0.5:
        return None
    light = [
        _is_light(colors.to_rgb(label.get_color()))
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels()
    ]
    if light and len(set(light)) == 1:
        return {"needs_background": "dark" if light[0] else "light"}
    return None


def _is_light(color: Tuple[float, float, float]) -> bool:
    return sum(part * weight for part, weight in zip(color, (0.299, 0.587, 0.114))) > 0.5
