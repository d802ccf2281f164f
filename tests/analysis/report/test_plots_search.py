from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.report.plots_model import (
    loss_figure,
    score_figure,
)
from analysis.report.plots_parameters import (
    importances_figure,
)
from analysis.report.plots_search import (
    budget_figure,
    history_figure,
    stopping_figure,
    timeline_figure,
)
from analysis.run_folder.study import study_trials
from analysis.tables.search import speed
from analysis.tables.study import trial_times

if TYPE_CHECKING:
    from analysis.run_folder.run import Run


def test_the_history_shows_every_trial_once_and_the_best_so_far(run: Run) -> None:
    figure = history_figure(run)
    assert figure is not None
    points = [trace for trace in figure.plot.data if trace.mode == "markers"]
    assert sorted(x for trace in points for x in trace.x) == list(range(12))
    (line,) = (trace for trace in figure.plot.data if trace.mode == "lines")
    assert list(line.y) == run.trials["objective"].cummax().tolist()
    last = int(run.trials["objective"].idxmax())
    assert figure.reading.startswith(f"The last gain came with trial {last} of 12")


def test_rungs_are_drawn_where_trials_stopped(run: Run) -> None:
    figure = stopping_figure(run)
    assert figure is not None
    assert [shape.x0 for shape in figure.plot.layout.shapes] == [2]
    # Four of twelve stopped after two of six epochs.
    assert figure.reading == (
        "4 of 12 trials were stopped at a rung (dotted); 56 of 72 epochs were trained, 22 % saved."
    )
    points = [y for trace in figure.plot.data for y in trace.y if y is not None]
    assert len(points) == 56


def test_the_budget_and_the_timeline_say_where_time_went(run: Run) -> None:
    figure = budget_figure(run)
    assert figure is not None
    assert figure.reading == ("Of the time, 86 % on 8 that finished, 14 % on 4 that were stopped.")
    times = trial_times(study_trials(run.folder, run.notes))
    timeline = timeline_figure(run, times, speed(run, times))
    assert timeline is not None
    assert sum(len(trace.y) for trace in timeline.plot.data) == 12
    assert timeline.reading.endswith("of the slots' time.")
    assert {trace.width for trace in timeline.plot.data} == {0.75}, "of every fate"
    assert timeline.plot.layout.yaxis.range == (11.5, -0.5)


def test_what_was_not_kept_is_not_drawn(empty: Run) -> None:
    assert history_figure(empty) is None
    assert stopping_figure(empty) is None
    assert budget_figure(empty) is None
    assert timeline_figure(empty, pd.DataFrame(), {}) is None
    assert importances_figure(empty) is None
    assert loss_figure(empty, 0) is None
    assert score_figure(empty, 0) is None
