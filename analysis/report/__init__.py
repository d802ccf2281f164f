"""The report of a run: one self-contained page, made from its folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis.render.page import render_page
from analysis.report.sections import sections_of
from analysis.run_folder.io import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.run import Run


def render(run: Run) -> str:
    """Render a run, finished or in progress, as a page that fetches nothing from elsewhere."""
    return render_page("report.html", plotly=Markup(get_plotlyjs()), **sections_of(run))


def write_report(run: Run) -> Path:
    """Write the report of a run into its folder and return its path."""
    page = render(run)
    write_whole(run.folder.report, lambda partial: partial.write_text(page, encoding="utf-8"))
    return run.folder.report
