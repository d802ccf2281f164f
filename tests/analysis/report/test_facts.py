from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import analysis
from analysis.report import facts
from analysis.report.trial_table import candidate_table, trial_table
from tests.analysis.synthetic import write_run
from tests.records import read_best, read_search, write_best, write_search

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path / "run")


def decisions(folder: RunFolder, **pieces: Any) -> list[str]:
    write_best(folder, read_best(folder) | pieces)
    return facts.decisions(analysis.load(folder.path))


def test_trials_are_counted_by_fate(folder: RunFolder) -> None:
    run = analysis.load(folder.path)
    assert facts.counts(run) == "6 trials (4 finished, 2 stopped) · 3 folds"


def test_the_config_names_first_what_mattered(folder: RunFolder) -> None:
    names = [name for name, _ in facts.config(analysis.load(folder.path))]
    assert names[:2] == ["head dropout", "schedule"]
    assert len(names) == 5


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ({"rule": "argmax", "neutral_threshold": None}, ["It decides on the likeliest class."]),
        (
            {"rule": "searched", "neutral_threshold": 0.41},
            [
                "It says neutral when both polar probabilities are under 0.410, as the trial"
                " drew it."
            ],
        ),
        (
            {
                "rule": "tuned",
                "neutral_threshold": 0.4,
                "tuned_score": 0.71,
                "searched_score": 0.7,
            },
            [
                "It says neutral when both polar probabilities are under 0.400, tuned on the"
                " other folds.",
                "Nested over folds, tuning comes to 0.7100, searching to 0.7000.",
            ],
        ),
        (None, []),
    ],
)
def test_the_decision_is_said_in_words(
    folder: RunFolder, decision: dict[str, Any] | None, said: list[str]
) -> None:
    assert decisions(folder, decision=decision) == said


def test_what_ships_is_said_in_words(folder: RunFolder) -> None:
    said = decisions(folder, final={"kind": "refit", "why": "the folds agree"})
    assert said == ["The final model was trained again on all labelled samples: the folds agree."]


def test_where_numbers_come_from_is_told(folder: RunFolder) -> None:
    activations = [
        {"role": "text", "cached": True, "seconds": 0.0},
        {"role": "image", "cached": False, "seconds": 12.0},
    ]
    write_search(folder, read_search(folder) | {"activations": activations})
    run = analysis.load(folder.path)
    shown = facts.origin(run)
    assert shown["command"] == "python -m search.run --model early_fusion --trials 6"
    assert "closely, as trials that run side by side" in shown["repeat_note"]
    assert dict(shown["origin"])["machine"] == "1 x Linux x86_64, 2 CPUs, 0 GPUs, 2 slots"
    tiles = dict(facts.tiles(run, {"trials": 6.0, "epochs": 18.0, "trial_seconds": 45.0}))
    assert tiles == {
        "trials": "6",
        "epochs": "18",
        "time of all trials": "45 s",
        "most memory of a trial": "0.5 GB",
        "frozen layers from the cache": "1 of 2",
        "time to build the others": "12 s",
    }


def test_the_table_of_trials_leaves_out_what_never_varied(folder: RunFolder) -> None:
    run = analysis.load(folder.path)
    table = trial_table(run)
    heads = [column["name"] for column in table["columns"]]
    assert heads[:6] == ["trial", "fate", "weighted F1", "best at epoch", "epochs", "time"]
    assert "head dropout" in heads
    assert "neutral threshold" not in heads  # always 0.35
    assert "reason" not in heads  # no trial failed
    assert table["rows"][0][0] == {"text": "0 (hand-tuned)", "value": 0.0}
    assert run.best is not None
    assert table["marks"].index("best") == run.best.trial
    assert all(len(row) == len(heads) for row in table["rows"])


def test_a_trial_that_failed_says_why_in_the_table(folder: RunFolder) -> None:
    trials = folder.read_trials()
    trials.loc[1, ["fate", "error"]] = ["failed", "ValueError: <b>"]
    trials.loc[1, ["objective", "best_epoch"]] = None
    folder.write_trials(trials)
    table = trial_table(analysis.load(folder.path))
    assert table["columns"][-1] == {"name": "reason", "text": True}
    assert table["rows"][1][-1]["text"] == "ValueError: <b>"
    assert table["rows"][1][2] == {"text": "", "value": None}


def test_a_note_is_no_reason_to_fail(folder: RunFolder) -> None:
    trials = folder.read_trials()
    trials["note"] = ["batches in halves", *[""] * (len(trials) - 1)]
    folder.write_trials(trials)
    table = trial_table(analysis.load(folder.path))
    assert [column["name"] for column in table["columns"]][-1] == "note"
    assert [row[-1]["text"] for row in table["rows"][:2]] == ["batches in halves", ""]


def test_candidates_show_what_the_searched_score_lost(folder: RunFolder) -> None:
    assert candidate_table(analysis.load(folder.path)) is None
    best = read_best(folder)
    found = {
        "trial": best["trial"],
        "searched": 0.7,
        "confirmed": 0.68,
        "spread": 0.01,
        "interval": [0.66, 0.7],
        "epochs": 4,
    }
    write_best(folder, best | {"candidates": [found, found | {"trial": 99, "interval": None}]})
    table = candidate_table(analysis.load(folder.path))
    assert table is not None
    assert [cell["text"] for cell in table["rows"][0]] == [
        f"trial {best['trial']}",
        "0.7000",
        "0.6800",
        "0.0200",
        "0.0100",
        "0.660 to 0.700",
    ]
    assert table["marks"] == ["best", ""]


def test_a_loss_that_rose_is_lost_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", objective="val_loss", mode="min")
    found = {"trial": 1, "searched": 0.7, "confirmed": 0.8, "interval": None}
    write_best(folder, read_best(folder) | {"candidates": [found]})
    table = candidate_table(analysis.load(folder.path))
    assert table is not None
    assert table["rows"][0][3]["text"] == "0.1000"
