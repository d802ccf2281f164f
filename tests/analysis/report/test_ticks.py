from __future__ import annotations

import plotly.graph_objects as go
import pytest

from analysis.report.ticks import log_ticks, settle_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.04e-5, 0.0855, [1e-4, 1e-3, 1e-2]),
        (0.002, 0.02, [0.003, 0.01]),
        (0.00115, 0.00513, [0.002, 0.005]),
        (1, 100, [1, 10, 100]),
        (1e-7, 1, [1e-6, 1e-3, 1]),
        (0.0021, 0.0045, [0.0021, 0.0045]),  # no two round values between
        (0.01, 0.01, [0.01]),
    ],
)
def test_a_logarithmic_axis_has_up_to_three_round_ticks(
    low: float, high: float, ticks: list[float]
) -> None:
    assert log_ticks(low, high) == ticks


def axis_of(values: list[object], kind: str = "linear") -> go.layout.XAxis:
    plot = go.Figure(go.Scatter(x=values, y=[0.5] * len(values)))
    plot.update_xaxes(type=kind)
    settle_ticks(plot)
    return plot.layout.xaxis


def test_labels_are_written_alike() -> None:
    assert axis_of([1.04e-5, 0.0855], "log").ticktext == ("1e-4", "1e-3", "1e-2")
    assert axis_of([0.002, 0.02], "log").ticktext == ("0.003", "0.01")
    assert axis_of([0.00213, 0.00452], "log").ticktext == ("2.1e-3", "4.5e-3")


def test_whole_numbers_have_no_ticks_between() -> None:
    assert axis_of([0, 2, 2]).tickvals == (0, 1, 2)
    assert axis_of([8, 64]).tickvals is None, "too many to list"
    assert axis_of([0.0, 2.0]).tickvals is None


def test_choices_are_named_without_quotes() -> None:
    plot = go.Figure(go.Scatter(x=["'it'", '"it\'s"', "True", "16"], y=[0.5] * 4))
    plot.update_xaxes(type="category", categoryarray=["True", "'it'", "16", '"it\'s"'])
    settle_ticks(plot)
    assert plot.data[0].x == ("it", "it's", "True", "16")
    assert plot.layout.xaxis.categoryarray == ("True", "it", "16", "it's")
