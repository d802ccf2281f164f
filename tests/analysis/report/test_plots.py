from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.report.figures import band
from analysis.report.plots_model import (
    loss_figure,
    reliability_figure,
    score_figure,
    threshold_figure,
)
from analysis.report.plots_parameters import (
    contour_figure,
    importances_figure,
    parallel_figure,
    slice_figures,
    too_few,
    top_parameters,
)
from analysis.report.plots_search import (
    budget_figure,
    history_figure,
    stopping_figure,
    timeline_figure,
)
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.study import study_trials
from analysis.tables.search import speed
from analysis.tables.study import scored_study, searched_parameters, trial_times
from tests.analysis.synthetic import SEARCHED, write_run
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", trials=12, epochs=6)
    return analysis.load(folder.path)


@pytest.fixture
def empty(tmp_path: Path) -> Run:
    RunFolder(tmp_path).write_search(SEARCHED)
    return analysis.load(tmp_path)


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


def test_what_was_not_kept_is_not_drawn(empty: Run) -> None:
    assert history_figure(empty) is None
    assert stopping_figure(empty) is None
    assert budget_figure(empty) is None
    assert timeline_figure(empty, pd.DataFrame(), {}) is None
    assert importances_figure(empty) is None
    assert loss_figure(empty, 0) is None
    assert score_figure(empty, 0) is None


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


def test_learning_curves_have_bands_of_the_spread_over_folds(run: Run) -> None:
    figure = loss_figure(run, 0)
    assert figure is not None
    bands = [trace for trace in figure.plot.data if trace.fill == "toself"]
    assert len(bands) == 1  # the training loss has no spread
    assert figure.reading == "Validation loss is lowest at epoch 6 of 6: it was still falling."
    scores = score_figure(run, 0)
    assert scores is not None
    assert "Bands are one standard deviation over 3 folds." in scores.reading


def test_a_band_goes_round_its_line() -> None:
    drawn = band([1, 2], [10.0, 20.0], [1.0, 2.0], "red", "loss")
    assert list(drawn.x) == [1, 2, 2, 1]
    assert list(drawn.y) == [11.0, 22.0, 18.0, 9.0]


def said(probabilities: list[list[float]], labels: list[int]) -> Validated:
    rows = np.arange(len(labels))
    values = np.array(probabilities)
    return Validated(rows, rows * 0, np.array(labels), values, values.argmax(axis=1))


def test_overconfidence_is_named() -> None:
    figure = reliability_figure(said([[0.95, 0.03, 0.02]] * 4, [0, 0, 1, 2]), 2.0)
    assert figure.reading == (
        "Expected calibration error 0.450: on the whole overconfident. "
        "The final model divides logits by 2.00 to mend it."
    )
    honest = reliability_figure(said([[0.5, 0.3, 0.2]] * 4, [0, 0, 1, 2]), None)
    assert honest.reading == (
        "Expected calibration error 0.000: probabilities mean what they say."
    )


def test_the_best_threshold_is_named_and_said_to_flatter() -> None:
    # The third is right only when it counts as neutral: under 0.6, and at or above 0.5.
    validated = said(
        [[0.9, 0.05, 0.05], [0.05, 0.05, 0.9], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]], [0, 2, 1, 0]
    )
    figure = threshold_figure(validated, "accuracy", 0.4, None)
    assert figure.reading == (
        "Accuracy would be best, 1.0000, at 0.600 on these very samples, which flatters it."
    )
    assert [note.text for note in figure.plot.layout.annotations] == [" searched 0.40"]
    never = said([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]], [0, 2])
    figure = threshold_figure(never, "accuracy", None, None)
    assert figure.reading == "No threshold beats saying what is likeliest."


def test_a_drawing_cannot_end_its_script(run: Run) -> None:
    figure = history_figure(run)
    assert figure is not None
    figure.plot.add_scatter(x=[0], y=[0], name="</script><script>alert(1)")
    text = figure.to_json()
    assert "<" not in text
    assert json.loads(text)["data"][-1]["name"] == "</script><script>alert(1)"
    assert "template" not in json.loads(text)["layout"]
