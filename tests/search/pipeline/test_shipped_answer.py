"""When an ensemble of several models ships, and what ships where it cannot."""

from __future__ import annotations

import io
import math
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from analysis.run_folder.folder import RunFolder
from search.errors import WorkError
from search.pipeline import shipped_answer
from search.pipeline.joined_model import ModelMembers, Written
from search.pipeline.one_answer import give_one_answer
from search.pipeline.shipped_answer import ship_answer
from search.selection.model_choice import choose_model, comparable
from tests.search.pipeline.test_one_answer import answered, searches_in
from tests.search.selection.several import write_all
from tests.search.selection.test_candidates import record
from tests.search.selection.test_confirmation import with_unlabelled
from tests.search.selection.test_final_model import QUIET
from tests.search.selection.test_model_choice import loaded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analysis.run_folder.best_record import Ensemble
    from search.config.plan import Plan

# Each is wrong in another third of every fold: together they are right throughout.
RIGHTS = {name: {k: (8, 8, 8)} for k, name in enumerate(("early_fusion", "clip", "blip"))}
SHIFTS = {"early_fusion": 0.0, "clip": 4.0, "blip": 8.0}
SIZE = "--ensemble-size 4"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Searches whose models mend each other."""
    return write_all(tmp_path_factory.mktemp("written") / "all", RIGHTS, SHIFTS).path


@pytest.fixture
def folder(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of those searches; the members of an ensemble are not trained."""
    folder = RunFolder(shutil.copytree(written, tmp_path / "all"))

    def members(ensemble: Ensemble, plans: Mapping[str, Plan]) -> dict[str, ModelMembers]:
        trials = {
            str(one.model): [record(one.trial or 0, "finished", 0.5)] for one in ensemble.members
        }
        return {
            name: ModelMembers(
                plan, trials[name], [m for m in ensemble.members if m.model == name]
            )
            for name, plan in plans.items()
        }

    def write(folder: RunFolder, ensemble: Ensemble, *_: Any) -> Written:
        folder.model.mkdir(exist_ok=True)
        (folder.model / "config.json").write_text(f"{len(ensemble.members)} joined")
        (folder.model / "README.md").unlink(missing_ok=True)
        probabilities = np.full((2, 3), 1 / 3, np.float32)
        return Written(with_unlabelled(), probabilities, np.array([1, 2]), 9)

    monkeypatch.setattr(shipped_answer, "members_by_model", members)
    monkeypatch.setattr(shipped_answer, "write_joined", write)
    return folder


def test_an_ensemble_ships_where_it_is_better_by_more_than_its_standard_error(
    folder: RunFolder,
) -> None:
    lines = answered(folder, SIZE)
    best = folder.read_best_model()
    assert best.ensemble is not None
    assert best.score == pytest.approx(2 / 3)
    assert best.ensemble.score == 1
    assert best.ensemble.margin == pytest.approx(1 / 3)
    assert best.ensemble.preferred
    assert {one.name: round(one.weight, 6) for one in best.ensemble.members} == {
        "trial 0 of early_fusion": 0.333333,
        "trial 1 of clip": 0.333333,
        "trial 2 of blip": 0.333333,
    }
    assert [one.confirmed for one in best.ensemble.members] == pytest.approx([2 / 3] * 3)
    assert best.shipped is not None
    assert (best.shipped.kind, best.shipped.several) == ("ensemble", True)
    assert folder.read_predictions()["tag"].tolist() == ["neutral", "negative"]
    first = next(line for line in lines if line.startswith("best "))
    assert first == "best val_accuracy 1.0000 as confirmed by an ensemble of 3 configs of 3 models"
    assert "An ensemble of 3 configs of" in folder.report.read_text()


def test_its_card_says_who_is_in_it_and_what_it_was_compared_with(folder: RunFolder) -> None:
    answered(folder, SIZE)
    card = (folder.model / "README.md").read_text()
    assert card.startswith("# an ensemble of early_fusion and clip and blip: positive, neutral")
    assert "| trial 1 of clip | 0.33 | 0.6667 | 3 |" in card
    assert "| accuracy | 1.000 | 0.667 |" in card
    assert "of an ensemble of the models' configs, each fold by what the others select" in card
    assert "beats choosing one model (0.6667) by 0.3333" in card


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", f"{SIZE} --final refit", "--ensemble-size 0"])
def test_none_is_tried_where_it_is_not_wanted_or_trials_are_few(
    folder: RunFolder, words: str
) -> None:
    answered(folder, words)
    best = folder.read_best_model()
    assert best.ensemble is None
    assert best.shipped is not None
    assert not best.shipped.several


@pytest.mark.parametrize(("words", "ships"), [("", False), ("--final ensemble", True)])
def test_one_that_is_no_better_ships_only_where_it_is_asked_for(
    folder: RunFolder, words: str, ships: bool
) -> None:
    runs = loaded(folder)
    best = choose_model(comparable(runs), 4)
    assert best.ensemble is not None
    worse = replace(best, ensemble=replace(best.ensemble, preferred=False))
    searches = searches_in(folder, f"{SIZE} {words}")
    answer = ship_answer(folder, worse, (runs, searches), math.inf, QUIET)
    assert (answer.shipped_ensemble is not None) == ships
    assert answer.shipped is not None
    assert answer.shipped.why.startswith("asked for; ") == ships


@pytest.mark.slow
def test_what_has_not_changed_is_not_trained_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(folder, SIZE)

    def write(*_: Any) -> Written:
        raise AssertionError

    monkeypatch.setattr(shipped_answer, "write_joined", write)
    answered(folder, SIZE)
    assert folder.read_best_model().shipped_ensemble is not None
    # Another kind ships, and the ensemble again: it is no longer there.
    answered(folder, "--final refit")
    assert folder.read_predictions()["tag"].tolist() == ["positive", "early_fusion"]
    with pytest.raises(AssertionError):
        answered(folder, SIZE)


def test_the_best_model_ships_where_the_ensemble_cannot_be_trained(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> Written:
        msg = "it crashed"
        raise WorkError(msg)

    monkeypatch.setattr(shipped_answer, "write_joined", write)
    lines = answered(folder, SIZE)
    assert "it crashed; the best model ships alone" in lines
    best = folder.read_best_model()
    assert best.ensemble is not None
    assert best.ensemble.preferred
    assert best.shipped_ensemble is None
    assert folder.read_predictions()["tag"].tolist() == ["positive", "early_fusion"]


def test_a_time_budget_that_is_not_enough_leaves_the_ensemble_out(folder: RunFolder) -> None:
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    searches = searches_in(folder, SIZE)
    assert give_one_answer(folder, searches, time.monotonic() + 5, console) is not None
    assert "the time budget is not enough for an ensemble of several models" in printed.getvalue()
    assert folder.read_best_model().shipped_ensemble is None
