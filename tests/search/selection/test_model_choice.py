"""The choice among searches of several models, from probabilities that are written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analysis.run_folder.best_record import Ensemble
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.run import load
from search.selection.model_choice import choose_model, comparable
from tests.search.selection.several import write_all, write_model
from trainables.evaluation.resampling import paired_bootstrap

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.run import Run

# Of each fold so many twelfths are right. Of early fusion's two configs the other folds choose
# trial 3 for each: 15 against 14, 17 against 16 and 18 against 10.
RIGHTS = {
    "early_fusion": {1: (6, 4, 10), 3: (10, 8, 7)},
    "clip": {0: (7, 8, 8)},
    "blip": {2: (3, 3, 3)},
}


def loaded(folder: RunFolder) -> dict[str, Run]:
    return {name: load(folder.path / name) for name in RIGHTS}


def test_the_model_with_the_best_score_on_folds_that_did_not_choose_its_config_is_chosen(
    tmp_path: Path,
) -> None:
    runs = loaded(write_all(tmp_path, RIGHTS))
    best = choose_model(comparable(runs))
    assert (best.model, best.basis) == ("early_fusion", "confirmed")
    scores = {one.model: one.score for one in best.models}
    assert list(scores) == ["early_fusion", "clip", "blip"]
    assert scores == pytest.approx({"early_fusion": 25 / 36, "clip": 23 / 36, "blip": 9 / 36})
    reported = {name: run.best.confirmed.score for name, run in runs.items()}  # type: ignore[union-attr]
    assert scores == pytest.approx(reported), "as its own search tells it"
    assert [one.offers for one in best.models] == ["trial 3", "trial 0", "trial 2"]


def test_what_is_reported_is_scored_by_the_model_that_the_other_folds_choose(
    tmp_path: Path,
) -> None:
    best = choose_model(comparable(loaded(write_all(tmp_path, RIGHTS))))
    # For fold 0 the others are 1 and 2. Of early fusion, fold 2 chooses trial 1 for fold 1 (10
    # against 7): 4, and fold 1 chooses trial 3 for fold 2: 7; 11 against clip's 16.
    # For fold 1: fold 2 chooses trial 1 for fold 0: 6; fold 0 chooses 3 for fold 2: 7; against 15.
    # For fold 2: fold 1 chooses 3 for fold 0: 10; fold 0 chooses 3 for fold 1: 8; 18 against 15.
    assert best.folds_chose == ("clip", "clip", "early_fusion")
    assert best.score == pytest.approx((7 + 8 + 7) / 36)
    assert best.scores["val_accuracy"] == best.score
    low, high = best.interval
    assert low < best.score < high
    assert high - low == pytest.approx(3.92 * (best.standard_error or 0), rel=0.06)
    assert "which samples are scored (duplicates together)" in best.covers


def test_others_are_behind_in_paired_standard_errors(tmp_path: Path) -> None:
    runs = loaded(write_all(tmp_path, RIGHTS))
    best = choose_model(comparable(runs))
    first, second, third = best.models
    assert first.margin is first.margin_error is None
    mine, theirs = runs["early_fusion"].reported, runs["clip"].reported
    assert mine is not None
    assert theirs is not None
    expected = paired_bootstrap("accuracy", mine, theirs)
    assert second.margin == pytest.approx(2 / 36)
    assert second.margin_error == pytest.approx(expected.standard_error, rel=0.1)
    assert third.margin == pytest.approx(16 / 36)
    errors = (third.margin or 0) / (third.margin_error or 1)
    few = (second.margin or 0) / (second.margin_error or 1)
    assert best.verdict == (
        f"early_fusion's val_accuracy of 0.6944 beats clip by 0.0556 ({few:.1f} standard errors)"
        f" and beats blip by 0.4444 ({errors:.1f} standard errors)"
    )


def test_a_model_that_ships_an_ensemble_is_compared_by_it(tmp_path: Path) -> None:
    folder = write_all(tmp_path, RIGHTS)
    own = load(tmp_path / "blip")
    assert own.reported is not None
    frame = own.folder.read_reported().assign(decided=own.reported.labels)  # right throughout
    own.folder.write_ensemble(frame)
    record = own.folder.read_best()
    assert record.final is not None
    ensemble = {"members": (), "score": 1.0, "interval": (1.0, 1.0), "scores": {}}
    margins = {"margin": 0.5, "margin_error": 0.1, "p_value": 0.1, "preferred": True}
    shipped = replace(record.final, kind="ensemble")
    made = Ensemble(**ensemble, **margins)  # type: ignore[arg-type]
    own.folder.write_best(replace(record, ensemble=made, final=shipped))
    best = choose_model(comparable(loaded(folder)))
    assert best.model == "blip"
    assert best.models[0].offers == "ensemble of 0"
    assert best.models[0].score == 1
    assert set(best.folds_chose) == {"blip"}


def test_what_cannot_be_compared_is_left_out_and_it_is_said_why(tmp_path: Path) -> None:
    folder = write_all(tmp_path, RIGHTS)
    write_model(tmp_path / "other", "clip", {0: (9, 9, 9)}, settings={"seed": 7})
    runs = loaded(folder) | {"clip": load(tmp_path / "other" / "clip")}
    blip = runs["blip"].folder
    blip.write_best(replace(blip.read_best(), confirmed=None, candidates=None))
    found = comparable(runs | {"blip": load(blip.path)})
    assert list(found.runs) == ["early_fusion"]
    assert found.left_out == {
        "clip": "it was searched with another seed than early_fusion",
        "blip": "it has no confirmed config with a model, as others have",
    }
    best = choose_model(found)
    assert best.left_out == found.left_out
    assert best.verdict == "early_fusion is the only model to choose from, val_accuracy 0.6944"


def test_scores_on_other_folds_are_not_compared(tmp_path: Path) -> None:
    folder = write_all(tmp_path, RIGHTS)
    clip = RunFolder(folder.path / "clip")
    clip.write_reported(
        clip.read_reported().assign(fold=lambda frame: frame["fold"].to_numpy()[::-1])
    )
    found = comparable(loaded(folder))
    assert found.left_out == {"clip": "it was scored on other samples or folds than early_fusion"}


def test_without_confirmed_configs_the_best_searched_one_leads_as_is_said(tmp_path: Path) -> None:
    folder = write_all(tmp_path, RIGHTS)
    for name, run in loaded(folder).items():
        (trial, *_) = RIGHTS[name]
        frame = run.folder.read_confirmation(trial)
        probabilities = frame[["positive", "neutral", "negative"]].to_numpy(np.float32)
        order = np.argsort(frame["fold"], kind="stable")
        rows = frame["row"].to_numpy()[order]
        run.folder.write_trial_probabilities(trial, rows, probabilities[order])
        bare = replace(run.folder.read_best(), trial=trial, confirmed=None, candidates=None)
        run.folder.write_best(replace(bare, decision=None, final=None))
    best = choose_model(comparable(loaded(folder)))
    assert (best.model, best.basis) == ("clip", "searched")
    assert [one.score for one in best.models] == pytest.approx([23 / 36, 20 / 36, 9 / 36])
