"""Shows plotly's figures in the output of the cell, as a figure for clients that draw it and as HTML for others."""

import os
from types import ModuleType, SimpleNamespace
from typing import Any, Dict, Optional

from .display import FORMATTER, Publisher

#: The name of the renderer in ``plotly.io.renderers``.
NAME = "hypha"
MIME = "application/vnd.plotly.v1+json"


def _bundle(figure: Dict[str, Any], config: Dict[str, Any]) -> Dict[str, Any]:
    from plotly.io import to_html
    from plotly.io._base_renderers import PlotlyRenderer

    html = to_html(figure, config=config, include_plotlyjs="cdn", full_html=False, validate=False)
    return dict(PlotlyRenderer(config=config).to_mimebundle(figure), **{"text/html": html})


def show_widgets(_module: ModuleType) -> None:
    """Called when ``plotly.basewidget`` has been imported: figures that are widgets are shown as figures."""

    def shown(figure: Any) -> Dict[str, Any]:
        return _bundle(figure.to_dict(), {})

    FORMATTER.mimebundle_formatter.for_type_by_name("plotly.basewidget", "BaseFigureWidget", shown)


def install(renderers: ModuleType, publisher: Publisher) -> None:
    """Called when ``plotly.io._renderers`` has been imported: registers the renderer and makes it the default."""
    from plotly.io import _base_renderers as base

    class OutputRenderer(base.ExternalRenderer):  # type: ignore[misc]
        """Renders into the output of the cell."""

        def __init__(self, config: Optional[Dict[str, Any]] = None) -> None:
            self.config = dict(config or {})
            # Keyword arguments of show() are set as attributes where there are some.
            self.width = None
            self.height = None

        def render(self, fig_dict: Dict[str, Any]) -> None:
            layout = fig_dict.setdefault("layout", {})
            for name in ("width", "height"):
                if getattr(self, name) is not None:
                    layout[name] = getattr(self, name)
            publisher.publish_display_data(_bundle(fig_dict, self.config))

    registered = renderers.renderers  # type: ignore[attr-defined]
    registered[NAME] = OutputRenderer()
    if not os.environ.get("PLOTLY_RENDERER"):
        registered.default = NAME
    registered.render_on_display = True
    if getattr(renderers, "nbformat", True) is None:
        # Renderers that the user chooses want nbformat for nothing but its version.
        renderers.nbformat = SimpleNamespace(__version__="5.0")  # type: ignore[attr-defined]
