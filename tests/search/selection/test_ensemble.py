"""An ensemble of what a search tried, from probabilities that are written by hand."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from analysis.run_folder.stage_record import Stage
from search.config.settings import parse
from search.config.validation import selection_faults
from search.selection.choice import choose_config
from search.selection.ensemble import NoEnsembleError, ensemble_size, propose
from search.selection.ensemble_model import ships_ensemble
from tests.records import read_best
from tests.search.selection.test_candidates import keyed, plan_of, record
from trainables.data.sample import Fold
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.resampling import Validated, paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from search.config.plan import Plan
    from search.study.trial import Records

LABELS = np.tile(np.repeat([0, 1, 2], [6, 2, 4]), 20)
FOLDS = tuple(
    Fold(
        train=np.flatnonzero(np.arange(240) % 3 != k), val=np.flatnonzero(np.arange(240) % 3 == k)
    )
    for k in range(3)
)
ORDER = np.concatenate([fold.val for fold in FOLDS])


def said_by(right: float, seed: int) -> np.ndarray:
    """Probabilities (240, 3): right in so large a share, and sure of it."""
    random = np.random.default_rng(seed)
    guess = np.where(random.random(240) < right, LABELS, random.integers(3, size=240))
    return 0.7 * np.eye(3)[guess] + 0.3 * random.dirichlet([1, 1, 1], size=240)


def frame_of(said: np.ndarray, **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(said[ORDER].astype(np.float32), columns=list(SENTIMENTS.names))
    frame.insert(0, "row", ORDER)
    for name, value in columns.items():
        frame.insert(0, name, value)
    return frame


def keep(plan: Plan, number: int, said: np.ndarray) -> None:
    plan.folder.write_trial_probabilities(number, ORDER, said[ORDER].astype(np.float32))


PARTS = np.repeat([0, 1, 2], 80)


def searched(
    tmp_path: Path,
    words: str,
    rights: dict[int, float],
    regressions: Mapping[int, float] = MappingProxyType({}),
) -> tuple[Plan, Records]:
    plan = plan_of(f"--folds 3 --trials 24 {words}", tmp_path)
    records = keyed(*(record(number, "finished", right) for number, right in rights.items()))
    for number, right in rights.items():
        plan.folder.append_history({"trial": number, "epoch": 1, "val_weighted_f1": right})
        keep(plan, number, said_by(right, number))
        again = frame_of(said_by(right, 100 + number), epoch=1, fold=PARTS, repeat=0)
        plan.folder.write_confirmation(number, again)
    if regressions:
        frames = [
            frame_of(said_by(right, 50 + k), fold=PARTS, combination=k)
            for k, right in regressions.items()
        ]
        plan.folder.write_rung_zero_probabilities(pd.concat(frames, ignore_index=True))
        plan.folder.write_rung_zero(pd.DataFrame({"loss": [0.5] * len(regressions)}))
        reads = [{"lexicon": k == 0} for k in regressions]
        plan.folder.write_stages(
            {"rung_zero": Stage(depends_on={"combinations": reads}, result={})}
        )
    return plan, records


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("--trials 40", 8),
        ("--trials 12", 3),
        ("--trials 4", 1),
        ("--trials 4 --final ensemble", 2),
        ("--trials 40 --ensemble-size 0", 0),
        ("--trials 4 --ensemble-size 12", 12),
    ],
)
def test_eight_are_joined_at_most_and_a_quarter_of_the_trials(words: str, size: int) -> None:
    settings = plan_of(words).settings
    assert ensemble_size(settings.selection, settings.trials) == size


def test_trials_and_regressions_that_err_apart_are_joined(tmp_path: Path) -> None:
    plan, records = searched(tmp_path, "", {0: 0.6, 1: 0.55, 2: 0.1}, {0: 0.6, 1: 0.1})
    proposal = propose(plan, records, LABELS, FOLDS)
    assert sum(member.weight for member in proposal.members) == pytest.approx(1)
    assert sorted(one.number for one in proposal.trials) == [0, 1]
    assert proposal.reads == [{"lexicon": True}]
    weights = [member.weight for member in proposal.members]
    assert weights == sorted(weights, reverse=True)


def test_what_says_the_same_is_not_joined_and_that_is_told(tmp_path: Path) -> None:
    plan, records = searched(tmp_path, "", {0: 0.6, 1: 0.6})
    keep(plan, 1, said_by(0.6, 0))
    with pytest.raises(NoEnsembleError, match="no ensemble is tried: on folds that did not"):
        propose(plan, records, LABELS, FOLDS)


def test_one_that_has_all_the_weight_is_no_ensemble_though_one_was_asked_for(
    tmp_path: Path,
) -> None:
    plan, records = searched(tmp_path, "--final ensemble", {0: 1.0, 1: 0.0})
    with pytest.raises(NoEnsembleError, match="one config alone predicts as well"):
        propose(plan, records, LABELS, FOLDS)


@pytest.mark.parametrize("words", ["--final refit", "--ensemble-size 0", "--confirm 0"])
def test_without_a_wish_for_it_there_is_none_and_no_word_of_it(tmp_path: Path, words: str) -> None:
    plan, records = searched(tmp_path, words, {0: 0.6, 1: 0.6})
    with pytest.raises(NoEnsembleError) as caught:
        propose(plan, records, LABELS, FOLDS)
    assert str(caught.value) == ""


def test_argmax_leaves_neutral_its_weight(tmp_path: Path) -> None:
    plan, records = searched(tmp_path, "--decision argmax", {0: 0.6, 1: 0.6, 2: 0.6})
    assert propose(plan, records, LABELS, FOLDS).neutral_weight == 1


def test_an_ensemble_is_scored_on_the_fresh_folds_by_its_own_weights(tmp_path: Path) -> None:
    plan, records = searched(tmp_path, "--decision argmax", {0: 0.6, 1: 0.6, 2: 0.6})
    proposal = propose(plan, records, LABELS, FOLDS)
    picked = list(records.values())[:1]
    choose_config(plan, records, LABELS, picked, (), proposal)
    ensemble = read_best(plan.folder)["ensemble"]
    mean = sum(
        member.weight * said_by(0.6, 100 + member.trial.number)
        for member in proposal.members
        if member.trial
    )
    right = (np.asarray(mean).argmax(axis=1) == LABELS).reshape(80, 3).mean(axis=0)
    assert ensemble["scores"]["val_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    told = plan.folder.read_ensemble()
    assert (told["decided"] == LABELS[told["row"]]).mean() == pytest.approx(right.mean())
    alone = {member["trial"]: member["confirmed"] for member in ensemble["members"]}
    single = read_best(plan.folder)["confirmed"]["score"]
    assert alone[0] == pytest.approx(single)
    assert ensemble["margin"] == pytest.approx(ensemble["score"] - single)
    assert ensemble["preferred"] == (ensemble["margin"] > ensemble["margin_error"])
    assert "beats the best config alone" in ensemble["verdict"]


def test_an_ensemble_is_compared_with_the_hand_tuned_config_as_well(tmp_path: Path) -> None:
    plan, records = searched(tmp_path, "--decision argmax", {0: 0.5, 1: 0.6, 2: 0.6})
    records["ray-0"] = replace(records["ray-0"], hand_tuned=True)
    proposal = propose(plan, records, LABELS, FOLDS)
    choose_config(plan, records, LABELS, list(records.values()), (), proposal)
    best = read_best(plan.folder)
    (hand_tuned,) = (one for one in best["candidates"] if one["hand_tuned"])
    told = plan.folder.read_ensemble()
    scored, other = (
        Validated(
            ORDER, PARTS, LABELS[ORDER], said, said.argmax(axis=1), groups=ORDER, repeats=PARTS * 0
        )
        for said in (told[list(SENTIMENTS.names)].to_numpy(), said_by(0.5, 100)[ORDER])
    )
    found = paired_bootstrap("weighted_f1", scored, other)
    assert found.difference == pytest.approx(best["ensemble"]["score"] - hand_tuned["confirmed"])
    assert best["ensemble"]["verdict"].endswith(
        f"; it beats the hand-tuned config by {found.difference:.4f}"
        f" ({found.difference / found.standard_error:.1f} standard errors)"
    )


def test_a_better_ensemble_ships_and_a_worse_one_only_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    plan, records = searched(tmp_path, "--decision argmax", {0: 0.6, 1: 0.6, 2: 0.6})
    proposal = propose(plan, records, LABELS, FOLDS)
    best = choose_config(plan, records, LABELS, list(records.values()), (), proposal)
    assert best is not None
    assert best.ensemble is not None
    assert ships_ensemble(plan, best) == best.ensemble.preferred
    for number in records:  # on the fresh folds all say the same
        again = frame_of(said_by(0.6, 100), epoch=1, fold=PARTS, repeat=0)
        plan.folder.write_confirmation(records[number].number, again)
    best = choose_config(plan, records, LABELS, list(records.values()), (), proposal)
    assert best is not None
    assert not ships_ensemble(plan, best)
    asked = plan_of("--folds 3 --trials 24 --final ensemble", tmp_path / "asked")
    assert ships_ensemble(asked, best)


def test_a_member_that_could_not_be_confirmed_or_trained_leaves_no_ensemble(
    tmp_path: Path,
) -> None:
    plan, records = searched(tmp_path, "", {0: 0.6, 1: 0.55, 2: 0.1})
    proposal = propose(plan, records, LABELS, FOLDS)
    best = choose_config(plan, records, LABELS, list(records.values()), {1}, proposal)
    assert best is not None
    assert best.ensemble is None
    plan.folder.confirmation(1).unlink()
    best = choose_config(plan, records, LABELS, list(records.values()), (), proposal)
    assert best is not None
    assert best.ensemble is None


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("--ensemble-size 1", "--ensemble-size must be 0 or >= 2, got 1"),
        (
            "--final ensemble --ensemble-size 0",
            "--final ensemble needs --ensemble-size >= 2, got 0",
        ),
        ("--final ensemble --confirm 0", "--final ensemble needs --confirm >= 1, got 0"),
    ],
)
def test_what_cannot_be_joined_is_refused(words: str, fault: str) -> None:
    settings = parse(f"--model early_fusion {words}".split())
    assert list(selection_faults(settings, 1)) == [fault]
