"""What each stage came to, from a run whose scores are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

import analysis
from analysis.report import render
from analysis.report.answer import answer
from analysis.report.trial_table import member_table
from analysis.run_folder.digests import forget
from analysis.tables.stages import stages
from tests.analysis.synthetic import write_run
from tests.records import read_best, write_best

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.folder import RunFolder

METRIC = "val_weighted_f1"
CONFIRMED = {
    "score": 0.6,
    "interval": [0.55, 0.65],
    "scores": {METRIC: 0.6},
    "epochs": 3,
    "contenders": 2,
    "folds_chose": [0, 1],
}
ENSEMBLE = {
    "members": [
        {"trial": 2, "weight": 0.75, "confirmed": 0.61, "epochs": 4},
        {"reads": {"lexicon": True}, "weight": 0.25, "confirmed": 0.5},
    ],
    "score": 0.64,
    "spread": 0.01,
    "interval": [0.6, 0.68],
    "scores": {METRIC: 0.64},
    "margin": 0.04,
    "margin_error": 0.01,
    "p_value": 0.01,
    "preferred": True,
    "neutral_weight": 1.5,
    "verdict": f"on the fresh folds the ensemble's {METRIC} of 0.6400 beats the best config alone",
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = write_run(tmp_path / "run")
    best = read_best(folder)
    floor = {"majority": {}, "logistic_regression": {METRIC: 0.5}, "standard_errors": 2.0}
    best |= {"confirmed": CONFIRMED, "floor": floor, "ensemble": ENSEMBLE}
    write_best(folder, best | {"final": {"kind": "ensemble", "why": "it is better"}})
    return folder


def test_stages_are_told_in_their_order_with_the_folds_that_they_are_scored_on(
    folder: RunFolder,
) -> None:
    table = pd.DataFrame({"loss": [0.9, 1.0], "objective": [0.41, 0.45], "hopeless": False})
    zeros = ("loss_behind", "loss_error", "objective_behind", "objective_error")
    table = table.assign(**dict.fromkeys(zeros, 0.0))
    folder.write_rung_zero(table)
    run = analysis.load(folder.path)
    frozen = run.trials["config/text_unfrozen_layers"] == 0
    assert frozen.any()
    assert not frozen.all()
    found = stages(run)
    assert found["score"].tolist() == [
        0.45,
        run.trials["objective"][frozen].max(),
        run.trials["objective"][~frozen].max(),
        0.5,
        0.6,
        0.64,
    ]
    assert found["scored_on"].tolist() == ["folds of the search"] * 3 + ["fresh folds"] * 3
    assert found["trials"].dropna().tolist() == [frozen.sum(), (~frozen).sum()]
    assert found["seconds"].sum() == run.trials["seconds"].sum()
    assert found["stage"].iloc[-1] == "ensemble of 2"


def test_a_search_that_is_still_at_its_trials_has_only_their_stages(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    forget(folder.path / folder.best.name)
    folder.best.unlink()
    assert set(stages(analysis.load(folder.path))["scored_on"]) == {"folds of the search"}


def test_an_ensemble_that_ships_is_the_answer_of_the_report(folder: RunFolder) -> None:
    run = analysis.load(folder.path)
    found = answer(run)
    assert found is not None
    assert (found.chosen.name, found.chosen.score) == ("ensemble of 2", 0.64)
    assert "best config alone" in found.rivals[1].name
    assert found.rivals[1].score == 0.6
    table = member_table(run)
    assert table is not None
    assert [[cell["text"] for cell in row] for row in table["rows"]] == [
        ["trial 2", "0.75", "0.6100", "4"],
        ["logistic regression (lexicon=True)", "0.25", "0.5000", ""],
    ]
    page = render(run)
    assert "The best config alone" in page
    assert found.standing == "", "the baseline was compared with the best config alone"
    assert "multiplies the probability of neutral by 1.50" in page
    assert "What each stage came to" in page
    assert "logistic regression (lexicon=True)" in page


def test_one_that_does_not_ship_is_told_beside_the_config_that_does(folder: RunFolder) -> None:
    best = read_best(folder)
    write_best(folder, best | {"final": {"kind": "refit", "why": "the folds agree"}})
    run = analysis.load(folder.path)
    found = answer(run)
    assert found is not None
    assert found.chosen.score == 0.6
    assert any("ensemble" in verdict for verdict in found.verdicts)
    assert member_table(run) is not None


def test_what_older_runs_called_an_ensemble_is_the_models_of_the_folds(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    best = read_best(folder)
    write_best(folder, best | {"final": {"kind": "ensemble", "why": "the best in validation"}})
    run = analysis.load(folder.path)
    assert run.best is not None
    assert run.best.shipped_ensemble is None
    assert "averages the probabilities of the folds" in render(run)
