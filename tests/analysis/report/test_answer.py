from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

import analysis
from analysis.report.answer import answer, majority_score
from analysis.run_folder.folder import RunFolder
from tests.analysis.synthetic import METRIC, SEARCHED, write_run
from tests.records import read_best, read_search, write_best, write_search

if TYPE_CHECKING:
    from pathlib import Path

FLOOR = {
    "majority": {METRIC: 0.4},
    "logistic_regression": {METRIC: 0.6},
    "interval": [0.58, 0.62],
    "standard_errors": 2.0,
}
VERDICT = "the confirmed val_weighted_f1 of 0.64 beats the baseline by 0.02"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path / "run")


def with_best(folder: RunFolder, **pieces: Any) -> RunFolder:
    write_best(folder, read_best(folder) | pieces)
    return folder


def test_a_searched_score_is_bounded_and_called_optimistic(folder: RunFolder) -> None:
    found = answer(analysis.load(folder.path))
    assert found is not None
    assert found.title == "early_fusion on made up"
    assert (found.basis, found.warning) == ("searched", "")
    chosen = found.chosen
    assert (chosen.kind, chosen.note) == ("chosen", "the best of 6 trials")
    assert chosen.low is not None
    assert chosen.high is not None
    assert chosen.low < chosen.score < chosen.high
    assert any("so it is optimistic" in verdict for verdict in found.verdicts)
    assert any("no real baseline" in verdict for verdict in found.verdicts)


def test_the_hand_tuned_config_and_the_lab_stand_beside_the_chosen_one(folder: RunFolder) -> None:
    found = answer(analysis.load(folder.path))
    assert found is not None
    kinds = {rival.name: rival.kind for rival in found.rivals}
    assert kinds["hand-tuned config"] == "own"
    assert kinds["the lab's early fusion"] == "published"
    assert {rival.score for rival in found.rivals if rival.kind == "published"} == {0.6955}


def test_demo_data_are_not_held_against_the_lab_and_are_warned_of(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", random_backbones=["text"])
    search = read_search(folder)
    write_search(folder, search | {"data": search["data"] | {"is_demo": True}})
    found = answer(analysis.load(folder.path))
    assert found is not None
    assert "published" not in {rival.kind for rival in found.rivals}
    assert found.warning == (
        "demo data, random weights (text): scores say nothing about real tweets"
    )


def test_a_confirmed_score_is_the_answer(folder: RunFolder) -> None:
    confirmed = {"score": 0.51, "interval": [0.5, 0.53], "scores": {METRIC: 0.51}}
    found = answer(analysis.load(with_best(folder, confirmed=confirmed).path))
    assert found is not None
    chosen = found.chosen
    assert (found.basis, chosen.score, chosen.low, chosen.high) == ("confirmed", 0.51, 0.5, 0.53)
    assert found.rivals[1].note == "the best of many, so optimistic"
    assert not any("it is optimistic" in verdict for verdict in found.verdicts)


def test_a_confirmed_score_is_held_against_the_confirmed_score_of_the_hand_tuned_config(
    folder: RunFolder,
) -> None:
    tuned = read_best(folder)["hand_tuned"]["trial"]
    pieces = {
        "confirmed": {"score": 0.51, "interval": [0.5, 0.53], "scores": {METRIC: 0.51}},
        "candidates": [
            {"trial": tuned, "searched": 0.6, "confirmed": 0.505, "interval": [0.49, 0.52]}
        ],
    }
    found = answer(analysis.load(with_best(folder, **pieces).path))
    assert found is not None
    (rival,) = (rival for rival in found.rivals if rival.name == "hand-tuned config")
    assert (rival.score, rival.low, rival.high) == (0.505, 0.49, 0.52)
    assert "Searching changed weighted F1 by +0.0050 from the hand-tuned config." in found.verdicts


def test_a_baseline_that_was_measured_is_shown_with_its_verdict_first(folder: RunFolder) -> None:
    found = answer(analysis.load(with_best(folder, floor=FLOOR, verdict=VERDICT).path))
    assert found is not None
    baselines = {rival.name: rival for rival in found.rivals if rival.kind == "baseline"}
    assert baselines["logistic regression"].score == 0.6
    assert (baselines["logistic regression"].low, baselines["logistic regression"].high) == (
        0.58,
        0.62,
    )
    assert baselines["majority class"].score == 0.4
    assert found.verdicts[0] == "The confirmed weighted F1 of 0.64 beats the baseline by 0.02."
    assert not any("no real baseline" in verdict for verdict in found.verdicts)


def test_a_baseline_of_nothing_is_shown(folder: RunFolder) -> None:
    nothing = {"logistic_regression": {METRIC: 0.0}, "majority": {METRIC: 0.0}}
    found = answer(analysis.load(with_best(folder, floor=FLOOR | nothing).path))
    assert found is not None
    baselines = {rival.name: rival.score for rival in found.rivals if rival.kind == "baseline"}
    assert baselines == {"logistic regression": 0.0, "majority class": 0.0}


@pytest.mark.parametrize(
    ("errors", "standing"),
    [(2.0, "above"), (0.9, "level"), (-0.9, "level"), (-2.0, "below"), (None, "")],
)
def test_a_standard_error_is_what_it_takes_to_stand_above_the_baseline(
    folder: RunFolder, errors: float | None, standing: str
) -> None:
    floor = FLOOR | {"standard_errors": errors}
    found = answer(analysis.load(with_best(folder, floor=floor).path))
    assert found is not None
    assert found.standing == standing


def test_a_chosen_hand_tuned_config_is_said_not_to_be_beaten(folder: RunFolder) -> None:
    best = read_best(folder)
    with_best(folder, hand_tuned={**best["hand_tuned"], "trial": best["trial"]})
    found = answer(analysis.load(folder.path))
    assert found is not None
    assert "The hand-tuned config, tried first, was not beaten." in found.verdicts


def test_the_majority_class_scores_as_scikit_learn_says(folder: RunFolder) -> None:
    run = analysis.load(folder.path)
    said = run.validated(0)
    assert said is not None
    always = np.zeros_like(said.labels)
    expected = f1_score(said.labels, always, average="weighted", zero_division=0)
    assert majority_score(said, "weighted_f1") == pytest.approx(expected)


def test_a_run_without_a_score_has_no_answer(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    assert answer(analysis.load(tmp_path)) is None
