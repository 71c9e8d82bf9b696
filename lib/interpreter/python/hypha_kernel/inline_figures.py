"""A matplotlib backend that shows figures in the output of the cell, without IPython.

``MPLBACKEND=module://hypha_inline_figures`` names it; a finder serves the module, so nothing is put into the
environment and matplotlib is imported only when user code does it.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import io
import sys
from types import ModuleType
from typing import Any, Callable, Dict, Optional

BACKEND_MODULE = "hypha_inline_figures"

Show = Callable[[Dict[str, Any], Dict[str, Any]], None]


def figure_png(figure: Any) -> Optional[bytes]:
    """The PNG of a figure, cropped as Jupyter's inline backend does; ``None`` for one with nothing on it."""
    if not figure.axes and not figure.lines:
        return None
    buffer = io.BytesIO()
    if figure.canvas is None or not hasattr(figure.canvas, "print_png"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure)
    figure.canvas.print_figure(
        buffer,
        format="png",
        bbox_inches="tight",
        facecolor=figure.get_facecolor(),
        edgecolor=figure.get_edgecolor(),
        dpi=figure.dpi,
    )
    return buffer.getvalue()


class Figures(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the backend module and shows what is open at the end of a cell."""

    def __init__(self, show: Callable[[Any], None]) -> None:
        self._show = show

    def install(self) -> None:
        """Makes the backend importable."""
        sys.meta_path.append(self)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != BACKEND_MODULE:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: Any) -> Optional[ModuleType]:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from matplotlib.backend_bases import FigureManagerBase
        from matplotlib.backends import backend_agg

        figures = self

        class InlineManager(FigureManagerBase):  # type: ignore[misc]
            def show(self) -> None:
                figures.show_one(self)

            @classmethod
            def pyplot_show(cls, *args: Any, **kwargs: Any) -> None:
                figures.flush()

        class InlineCanvas(backend_agg.FigureCanvasAgg):  # type: ignore[misc]
            manager_class = InlineManager

        namespace = module.__dict__
        namespace["FigureCanvas"] = InlineCanvas
        namespace["FigureManager"] = InlineManager
        namespace["new_figure_manager"] = _manager_maker(InlineCanvas, InlineManager)
        namespace["new_figure_manager_given_figure"] = _manager_for(InlineCanvas, InlineManager)
        namespace["show"] = lambda *args, **kwargs: self.flush()
        namespace["draw_if_interactive"] = lambda: None

    def show_one(self, manager: Any) -> None:
        """Shows one figure at its place in the output, and closes it."""
        from matplotlib._pylab_helpers import Gcf

        self._show(manager.canvas.figure)
        Gcf.destroy(manager)

    def flush(self) -> None:
        """Shows all open figures of this backend, oldest first, and closes them."""
        helpers = sys.modules.get("matplotlib._pylab_helpers")
        if helpers is None or BACKEND_MODULE not in sys.modules:
            return
        for manager in helpers.Gcf.get_all_fig_managers():
            if type(manager).__module__ == __name__:
                self._show(manager.canvas.figure)
        helpers.Gcf.destroy_all()


def _manager_for(canvas: Any, manager: Any) -> Callable[[int, Any], Any]:
    return lambda num, figure: manager(canvas(figure), num)


def _manager_maker(canvas: Any, manager: Any) -> Callable[..., Any]:
    def new_figure_manager(num: int, *args: Any, **kwargs: Any) -> Any:
        from matplotlib.figure import Figure

        figure_class = kwargs.pop("FigureClass", Figure)
        return manager(canvas(figure_class(*args, **kwargs)), num)

    return new_figure_manager
