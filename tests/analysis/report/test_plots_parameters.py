from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.report.plots_parameters import (
    contour_figure,
    importances_figure,
    parallel_figure,
    slice_figures,
    too_few,
    top_parameters,
)
from analysis.run_folder.study import study_trials
from analysis.tables.study import scored_study, searched_parameters

if TYPE_CHECKING:
    from analysis.run_folder.run import Run


def test_importances_are_warned_of_where_trials_are_few(run: Run) -> None:
    figure = importances_figure(run)
    assert figure is not None
    assert list(figure.plot.data[0].y) == ["schedule", "head dropout"]  # the largest on top
    assert figure.reading == "Head dropout explains 75 %."
    assert too_few(run, 4) == (
        "Read with care: 12 trials are few for 4 hyperparameters; 40 or more would tell."
    )
    assert too_few(run, 1) == ""


def test_optunas_plots_show_every_scored_trial(run: Run) -> None:
    trials = study_trials(run.folder, run.notes)
    study = scored_study(run, trials)
    assert study is not None
    top = top_parameters(run, searched_parameters(trials))
    assert top == ["head_dropout", "schedule", "head_learning_rate", "text_unfrozen_layers"]
    slices = slice_figures(run, study, top)
    assert [figure.title for figure in slices] == [name.replace("_", " ") for name in top]
    assert all(len(figure.plot.data[0].x) == 12 for figure in slices)
    parallel = parallel_figure(run, study, top)
    assert parallel is not None
    ends = [x for trace in parallel.plot.data for x in trace.x if x is None]
    assert len(ends) == 12
    assert parallel.plot.layout.xaxis.ticktext == (
        "weighted F1",
        "head dropout",
        "head learning rate",
        "schedule",
        "text unfrozen layers",
    )
    assert contour_figure(run, study, top) is not None
    assert contour_figure(run, study, top[:1]) is None
    assert parallel_figure(run, study, top[:1]) is None


def test_a_parallel_line_is_the_stronger_the_better(run: Run) -> None:
    trials = study_trials(run.folder, run.notes)
    study = scored_study(run, trials)
    assert study is not None
    figure = parallel_figure(run, study, ["head_dropout", "schedule"])
    assert figure is not None
    strongest = figure.plot.data[-1]
    assert strongest.line.color == "var(--step-5)"
    assert max(y for y in strongest.y[::4] if y is not None) == 1  # the best trial's own
