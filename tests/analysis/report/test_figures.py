from __future__ import annotations

import json
from typing import TYPE_CHECKING

from analysis.report.figures import band
from analysis.report.plots_search import (
    history_figure,
)

if TYPE_CHECKING:
    from analysis.run_folder.run import Run


def test_a_band_goes_round_its_line() -> None:
    drawn = band([1, 2], [10.0, 20.0], [1.0, 2.0], "red", "loss")
    assert list(drawn.x) == [1, 2, 2, 1]
    assert list(drawn.y) == [11.0, 22.0, 18.0, 9.0]


def test_a_drawing_cannot_end_its_script(run: Run) -> None:
    figure = history_figure(run)
    assert figure is not None
    figure.plot.add_scatter(x=[0], y=[0], name="</script><script>alert(1)")
    text = figure.to_json()
    assert "<" not in text
    assert json.loads(text)["data"][-1]["name"] == "</script><script>alert(1)"
    assert "template" not in json.loads(text)["layout"]
