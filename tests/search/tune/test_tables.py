from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from analysis.run_folder.folder import FATES, RunFolder
from analysis.run_folder.schema import TRIALS
from search.selection.best_trial import best_trial
from search.study.trial import Fate, TrialRecord, ranked
from search.tune.tables import trials_table, write_importances
from tests.records import read_best
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from pathlib import Path

METRIC = "val_weighted_f1"


def record(number: int, fate: Fate, *scores: float, **more: Any) -> TrialRecord:
    params = {"rate": number / 10, "width": number % 3}
    by_epoch = dict(enumerate(scores, 1))
    return TrialRecord(number, params, scores=by_epoch, fate=fate, **more)


def keyed(*records: TrialRecord) -> dict[str, TrialRecord]:
    return {f"ray-{record.number}": record for record in records}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_search_and_analysis_speak_of_the_same_classes_and_fates() -> None:
    assert SENTIMENTS.names == SENTIMENTS.names
    assert set(FATES) == set(Fate.__args__)  # type: ignore[attr-defined]  # a Literal's values


def test_the_table_has_one_row_per_ended_trial_in_order() -> None:
    running = TrialRecord(2, {"rate": 0.2})
    records = keyed(
        record(3, "failed", error="ValueError: x", note="batches in halves", seconds=1.23456),
        running,
        record(0, "finished", 0.5, 0.7, 0.6, hand_tuned=True),
    )
    table = trials_table(records, "max")
    assert table["trial"].tolist() == [0, 3]
    first, last = table.to_dict("records")
    assert first == {
        "trial": 0,
        "fate": "finished",
        "objective": 0.7,
        "best_epoch": 2,
        "epochs": 3,
        "seconds": 0.0,
        "peak_memory_mb": 0.0,
        "retries": 0,
        "hand_tuned": True,
        "error": "",
        "note": "",
        "config/rate": 0.0,
        "config/width": 0,
    }
    assert math.isnan(last["objective"])
    assert pd.isna(last["best_epoch"])
    assert (last["error"], last["seconds"]) == ("ValueError: x", 1.235)
    assert last["note"] == "batches in halves"


def test_the_table_of_no_trials_can_be_written_and_read(folder: RunFolder) -> None:
    folder.write_trials(trials_table({}, "max"))
    assert folder.read_trials().empty


def test_a_trial_that_ran_its_course_goes_before_a_better_one_that_did_not() -> None:
    records = keyed(
        record(0, "stopped", 0.9),
        record(1, "finished", 0.5),
        record(2, "finished", 0.6),
        record(3, "interrupted", 0.99),
        record(4, "diverged", 1.0),
        record(5, "failed", 1.0),
        record(6, "finished", 0.6),
        record(7, "interrupted"),
    )
    assert [r.number for r in ranked(records, "max")] == [2, 6, 1, 0, 3]
    assert [r.number for r in ranked(records, "min")] == [1, 2, 6, 0, 3]


def history(folder: RunFolder, *records: TrialRecord) -> None:
    for one in records:
        for epoch, score in one.scores.items():
            folder.append_history(
                {"trial": one.number, "epoch": epoch, METRIC: score, "val_loss": 1 - score}
            )


@pytest.mark.parametrize(
    ("fate", "why"),
    [
        ("finished", "the only trial that ran its course"),
        ("stopped", "the only trial with a score; ASHA stopped it"),
        ("interrupted", "the only trial with a score so far; it was cut off"),
    ],
)
def test_one_trial_with_a_score_is_not_the_best_of_many(
    folder: RunFolder, fate: str, why: str
) -> None:
    assert best_trial(folder, keyed(record(0, fate, 0.5)), METRIC).why == why


def test_the_best_config_is_written_with_all_its_scores(folder: RunFolder) -> None:
    records = [
        record(0, "finished", 0.5, 0.4, hand_tuned=True),
        record(1, "finished", 0.6, 0.75, 0.7),
        record(2, "stopped", 0.9),
    ]
    history(folder, *records)
    folder.write_best(best_trial(folder, keyed(*records), METRIC))
    best = read_best(folder)
    assert best["trial"] == 1
    assert best["best_epoch"] == 2
    assert best["score"] == 0.75
    assert best["scores"] == {METRIC: 0.75, "val_loss": 0.25}
    assert best["params"] == {"rate": 0.1, "width": 1}
    assert best["why"] == "the best score among the 2 trials that ran their course"
    assert best["hand_tuned"]["trial"] == 0
    assert best["hand_tuned"]["score"] == 0.5
    assert (best["objective"], best["mode"]) == (METRIC, "max")


def test_where_asha_stopped_all_the_best_of_them_is_chosen_and_that_is_said(
    folder: RunFolder,
) -> None:
    records = [record(0, "stopped", 0.5), record(1, "stopped", 0.6), record(2, "failed", 0.9)]
    history(folder, *records)
    best = best_trial(folder, keyed(*records), METRIC)
    assert best.trial == 1
    assert best.why == "the best score among the 2 trials with one; ASHA stopped them all"
    assert best.hand_tuned is None


def test_the_study_keeps_all_that_the_table_of_trials_has() -> None:
    one = record(0, "finished", 0.5)
    assert {"trial", *one.user_attrs("max")} == set(TRIALS)
    assert list(trials_table(keyed(one), "max")) == [*TRIALS, "config/rate", "config/width"]


DISTRIBUTIONS = {"rate": FloatDistribution(0, 10), "width": IntDistribution(0, 2)}


def test_what_alone_moves_the_score_has_all_the_importance(folder: RunFolder) -> None:
    records = keyed(*(record(n, "finished", n / 40) for n in range(40)))
    assert write_importances(folder, records, "max", dict(DISTRIBUTIONS)) == ""
    table = folder.read_importances()
    assert table["parameter"].tolist() == ["rate", "width"]
    assert table["importance"].iloc[0] > 0.9
    assert table["importance"].sum() == pytest.approx(1)


def test_stopped_trials_count_for_importances_and_failed_ones_do_not(folder: RunFolder) -> None:
    few = [record(0, "finished", 0.1), record(1, "stopped", 0.2), record(2, "stopped", 0.3)]
    odd = [record(3, "failed", 0.4), record(4, "diverged", 0.5), record(5, "interrupted", 0.6)]
    reason = write_importances(folder, keyed(*few, *odd), "max", dict(DISTRIBUTIONS))
    assert reason == "no table of importances: it needs 4 trials with a score, got 3"
    assert not folder.importances.exists()
    more = keyed(*few, *odd, record(6, "stopped", 0.7))
    assert write_importances(folder, more, "max", dict(DISTRIBUTIONS)) == ""


def test_equal_scores_tell_no_importances(folder: RunFolder) -> None:
    records = keyed(*(record(n, "finished", 0.5) for n in range(5)))
    reason = write_importances(folder, records, "max", dict(DISTRIBUTIONS))
    assert reason == "no table of importances: it needs scores that differ, got the same of all"
