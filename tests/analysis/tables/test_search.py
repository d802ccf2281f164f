from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

import analysis
from analysis.run_folder.folder import RunFolder
from analysis.tables.search import (
    budget,
    class_scores,
    confusion_table,
    contenders,
    learning_curve,
    progress,
    rung_epochs,
    rungs,
    speed,
)
from tests.analysis.synthetic import METRIC, SEARCHED, write_run
from tests.records import read_best, read_search, write_search
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.run import Run


def run_of(path: Path, rows: list[tuple[Any, ...]], **search: Any) -> Run:
    """A run of trials given as (trial, fate, objective, epochs, seconds)."""
    folder = RunFolder(path)
    columns = ["trial", "fate", "objective", "epochs", "seconds"]
    table = pd.DataFrame(rows, columns=columns)
    folder.write_trials(table.assign(best_epoch=1, hand_tuned=False, error=""))
    write_search(folder, SEARCHED | search)
    return analysis.load(path)


ASHA = {
    "settings": {"tuning": {"epochs": 20, "reduction_factor": 3.0}},
    "grace_epochs": 2,
}
ROWS = [
    (0, "finished", 0.5, 20, 60.0),
    (1, "stopped", 0.7, 2, 10.0),
    (2, "failed", np.nan, 0, 5.0),
    (3, "stopped", 0.6, 6, 20.0),
    (4, "finished", 0.8, 20, 65.0),
    (5, "diverged", 0.9, 1, 0.0),
]


def test_the_best_so_far_is_of_trials_with_an_honest_score(tmp_path: Path) -> None:
    table = progress(run_of(tmp_path, ROWS))
    assert table["trial"].tolist() == [0, 1, 3, 4]
    assert table["best"].tolist() == [0.5, 0.7, 0.7, 0.8]
    falling = progress(run_of(tmp_path, ROWS, mode="min", objective="val_loss"))
    assert falling["best"].tolist() == [0.5, 0.5, 0.5, 0.5]


def test_rungs_count_who_came_and_who_went_on(tmp_path: Path) -> None:
    run = run_of(tmp_path, ROWS, **ASHA)
    assert rung_epochs(run) == [2, 6, 18]
    assert rungs(run).to_numpy().tolist() == [[2, 4, 1, 3], [6, 3, 1, 2], [18, 2, 0, 2]]


@pytest.mark.parametrize(
    "search", [{}, {**ASHA, "grace_epochs": 20}, {"grace_epochs": 2, "settings": {"tuning": {}}}]
)
def test_without_asha_there_are_no_rungs(tmp_path: Path, search: dict[str, Any]) -> None:
    run = run_of(tmp_path, ROWS, **search)
    assert rung_epochs(run) == []
    assert rungs(run).empty


def test_the_budget_is_shared_out_by_fate(tmp_path: Path) -> None:
    table = budget(run_of(tmp_path, ROWS)).set_index("fate")
    assert table.index.tolist() == ["finished", "stopped", "diverged", "failed"]
    assert table["trials"].tolist() == [2, 2, 1, 1]
    assert table["epochs"].tolist() == [40, 8, 1, 0]
    assert table["seconds"].tolist() == [125, 30, 0, 5]
    assert table["share"].sum() == pytest.approx(1)
    assert table.loc["finished", "share"] == 125 / 160


def test_a_learning_curve_is_in_the_order_of_epochs(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    for trial, epoch in [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3)]:
        folder.append_history({"trial": trial, "epoch": epoch, METRIC: trial + epoch / 10})
    curve = learning_curve(analysis.load(tmp_path), 0)
    assert curve[METRIC].tolist() == [0.1, 0.2, 0.3]


def test_class_scores_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    labels, decided = random.integers(0, 3, 200), random.integers(0, 2, 200)  # none negative
    said = Validated(np.arange(200), np.zeros(200, int), labels, np.zeros((200, 3)), decided)
    counts = confusion_table(said)
    assert counts.loc["positive", "neutral"] == ((labels == 0) & (decided == 1)).sum()
    expected = precision_recall_fscore_support(labels, decided, labels=[0, 1, 2], zero_division=0)
    found = class_scores(counts)
    for name, values in zip(["precision", "recall", "f1", "support"], expected, strict=True):
        np.testing.assert_allclose(found[name], values)
    assert found.index.tolist() == list(SENTIMENTS.names)


def test_contenders_are_told_from_the_chosen_one_by_their_interval(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", trials=5, samples=300, skill=3.0)
    best = read_best(folder)
    ranked = folder.read_trials().sort_values("objective", ascending=False)["trial"]
    twin = next(trial for trial in ranked if trial != best["trial"])
    said = folder.read_trial_probabilities(best["trial"])
    same = said[list(SENTIMENTS.names)].to_numpy()
    folder.write_trial_probabilities(twin, said["row"].to_numpy(), same)
    table = contenders(analysis.load(folder.path)).set_index("trial")
    assert len(table) == 5
    assert table["objective"].is_monotonic_decreasing
    for trial in (best["trial"], twin):  # the twin says the very same
        assert table.loc[trial, ["difference", "low", "high"]].tolist() == [0, 0, 0]
        assert not table.loc[trial, "apart"]
    worst = table.iloc[-1]
    assert worst["apart"]
    assert worst["low"] <= worst["difference"] <= worst["high"] < 0


def test_contenders_of_a_falling_objective_are_better_when_positive(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", trials=4, samples=300, skill=3.0)
    write_search(folder, read_search(folder) | {"objective": "val_loss", "mode": "min"})
    trials = folder.read_trials()
    history = folder.read_history()
    lowest = history.groupby("trial")["val_loss"].min()
    folder.write_trials(trials.assign(objective=trials["trial"].map(lowest)))
    table = contenders(analysis.load(folder.path)).set_index("trial")
    last = table.iloc[-1]  # the highest loss
    assert last["objective"] == lowest.max()
    assert last["difference"] < 0


def test_without_probabilities_there_are_no_contenders(tmp_path: Path) -> None:
    assert contenders(run_of(tmp_path, ROWS)).empty


def test_speed_is_of_the_time_from_first_to_last(tmp_path: Path) -> None:
    run = run_of(tmp_path, ROWS, hardware={"slots": 2})
    assert speed(run, pd.DataFrame()) == {"trials": 6, "epochs": 49, "trial_seconds": 160}
    noon = pd.Timestamp("2026-11-24 12:00")
    seconds = [(0, 60), (0, 30), (30, 90), (60, 120)]
    times = pd.DataFrame(
        [(n, noon + pd.Timedelta(a, "s"), noon + pd.Timedelta(b, "s")) for n, (a, b) in
         enumerate(seconds)],
        columns=["trial", "start", "end"],
    )  # fmt: skip
    found = speed(run, times)
    assert found["wall_seconds"] == 120
    assert found["trials_per_hour"] == 120
    assert found["utilisation"] == (60 + 30 + 60 + 60) / (2 * 120)
