"""A view that is drawn again in its place below a notebook's cell.

`rich.live`, which does so in a terminal, needs ipywidgets here; to display anew needs nothing.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console

from analysis.program import NOTEBOOK_COLUMNS

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLE = "white-space: pre; overflow-x: auto; line-height: normal; font-family: monospace"
_PRE = f'<pre style="{_STYLE}">{{code}}</pre>'


class NotebookView:
    """Shows a renderable below the cell that runs, by the methods of `rich.live.Live`."""

    def __init__(self, renderable: RenderableType) -> None:
        self._first = renderable
        self._handle: Any = None

    def start(self) -> None:
        """Begin to show."""
        from IPython.display import display  # noqa: PLC0415 - there is one in a notebook

        self._handle = display(as_bundle(self._first), raw=True, display_id=True)

    def update(self, renderable: RenderableType, *, refresh: bool) -> None:
        """Draw something else in its place, at once, whatever `refresh` is."""
        del refresh
        self._handle.update(as_bundle(renderable), raw=True)

    def stop(self) -> None:
        """Leave what was drawn last."""


def as_bundle(renderable: RenderableType) -> dict[str, str]:
    """Render as a notebook displays it: HTML with colours, and plain text for who has no HTML."""
    page = Console(
        file=io.StringIO(),
        record=True,
        width=NOTEBOOK_COLUMNS,
        color_system="truecolor",
        force_terminal=True,
        force_jupyter=False,
    )
    page.print(renderable)
    html = page.export_html(inline_styles=True, code_format=_PRE, clear=False)
    return {"text/html": html, "text/plain": page.export_text()}
