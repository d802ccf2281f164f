"""What is told of a choice: the same number at every place, and what it is worth."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import analysis
from analysis.report.answer import answer
from analysis.report.facts import why
from search.console.summary import print_summary
from search.pipeline.workflow import Outcome
from search.selection.choice import choose_config
from search.selection.model_card import model_card
from tests.analysis.synthetic import write_run
from tests.records import best_of, read_best, write_best
from tests.search.selection.test_candidates import keyed, plan_of, record
from trainables.evaluation.classes import SENTIMENTS, classes_named

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.best_record import Best
    from analysis.run_folder.folder import RunFolder


def confirmation(labels: np.ndarray, seed: int, right: float) -> pd.DataFrame:
    """Three epochs of two folds, of which the second is the best by far."""
    random = np.random.default_rng(seed)
    frames = []
    for epoch, share in enumerate((0.2, right, 0.2), 1):
        hits = random.random(len(labels)) < share
        said = np.eye(3)[np.where(hits, labels, random.integers(3, size=len(labels)))]
        frame = pd.DataFrame(0.9 * said + 0.1 / 3, columns=list(SENTIMENTS.names))
        frame = frame.assign(repeat=0, fold=np.arange(len(labels)) % 2, epoch=epoch)
        frames.append(frame.assign(chosen=epoch == 2, row=np.arange(len(labels))))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def judged(tmp_path: Path) -> tuple[RunFolder, dict[str, Any]]:
    plan = plan_of("--folds 2", tmp_path / "run")
    folder = write_run(tmp_path / "run", folds=2)
    tags = folder.read_samples()["tag"].dropna()
    labels = tags.map(SENTIMENTS.names.index).to_numpy()
    rights = {0: 0.6, 1: 0.63, 3: 0.66, 4: 0.6}
    for number, right in rights.items():
        folder.write_confirmation(number, confirmation(labels, number, right))
    baseline = confirmation(labels, 9, 0.3).query("epoch == 2")
    folder.write_baseline(baseline.drop(columns=["epoch", "chosen"]))
    records = [
        record(number, "finished", 0.9, hand_tuned=number == 0, params={"rate": number / 10})
        for number in rights
    ]
    choose_config(plan, keyed(*records), labels, records)
    return folder, read_best(folder)


def printed(folder: RunFolder, best: Best, width: int = 300) -> str:
    console = Console(file=io.StringIO(), width=width)
    trial = record(best.trial, "finished", 0.9)
    print_summary(console, Outcome(keyed(trial), best, "", (), 9.0), folder, "")
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_every_place_tells_the_same_score_and_what_it_covers(
    judged: tuple[RunFolder, dict[str, Any]],
) -> None:
    folder, best = judged
    told, covers = best["confirmed"]["score"], best["confirmed"]["covers"]
    run = analysis.load(folder.path)
    assert run.reported is not None
    assert run.reported.score("weighted_f1") == pytest.approx(told)

    found = answer(run)
    assert found is not None
    assert (found.basis, found.chosen.score) == ("confirmed", told)
    assert any("choosing among 4 configs" in verdict for verdict in found.verdicts)
    assert f"The interval covers {covers}." in found.verdicts
    assert any(
        verdict.startswith(f"The confirmed weighted F1 of {told:.4f} ")
        for verdict in found.verdicts
    )

    row = analysis.compare_runs([run], reference=False).rows.iloc[0]
    assert (row["weighted_f1"], row["covers"]) == (pytest.approx(told), covers)
    assert [row["low"], row["high"]] == best["confirmed"]["interval"]

    said = printed(folder, folder.read_best())
    assert (
        f"best val_weighted_f1 {told:.4f} as confirmed by trial {best['trial']}, 2 epochs" in said
    )
    assert f"which covers {covers}" in said

    final = {
        "kind": "refit",
        "seeds": 1,
        "epochs": 2,
        "parameters": 9,
        "why": "",
        "temperature": 1,
    }
    card = model_card(folder.read_search(), best_of(**best | {"final": final}))
    assert f"The confirmed val_weighted_f1 is {told:.4f}" in card
    assert "the score of choosing among 4 configs" in card
    assert covers in card
    assert "else the most probable class. After" in card
    weighed = best | {"final": final, "decision": best["decision"] | {"neutral_weight": 1.25}}
    card = model_card(folder.read_search(), best_of(**weighed))
    assert "else the most probable class, with that of neutral times 1.250. After" in card


def table_of(path: Path, names: tuple[str, ...], width: int) -> list[str]:
    folder = write_run(path, classes=classes_named(names), samples=70)
    said = printed(folder, folder.read_best(), width).splitlines()
    first = next(n for n, line in enumerate(said) if line.startswith("searched "))
    return said[first - 2 : first + 3]


def test_the_scores_of_each_class_are_headed_by_its_name_where_they_fit(tmp_path: Path) -> None:
    table = table_of(tmp_path / "three", SENTIMENTS.names, 100)
    heads = "accuracy weighted F1 macro F1 F1 positive F1 neutral F1 negative"
    assert table[1].split() == heads.split()
    narrow = table_of(tmp_path / "narrow", SENTIMENTS.names, 80)
    assert narrow[1].split() == ["accuracy", "F1", "F1", "positive", "neutral", "negative"]
    seven = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    table = table_of(tmp_path / "seven", seven, 90)
    assert table[1].split() == ["accuracy", "weighted", "F1", "macro", "F1", "F1", "neutral"]
    assert table[4] == "the report and the model card have the F1 of each class"
    assert "F1 surprise" in table_of(tmp_path / "wide", seven, 150)[1]


def test_the_epochs_told_beside_a_confirmed_score_are_those_that_were_confirmed(
    judged: tuple[RunFolder, dict[str, Any]],
) -> None:
    folder, best = judged
    assert best["best_epoch"] == 1  # as searched
    run = analysis.load(folder.path)
    assert analysis.compare_runs([run]).rows["epochs"].iloc[0] == 2
    assert why(run).startswith(f"Trial {best['trial']}, 2 epochs: ")
    assert "Spread over 2 folds" in why(run)


def test_what_was_not_confirmed_is_told_as_searched(
    judged: tuple[RunFolder, dict[str, Any]],
) -> None:
    folder, best = judged
    bare = best_of(**best | {"confirmed": None, "floor": None, "verdict": None})
    assert f"best val_weighted_f1 0.9000 by trial {best['trial']} at epoch 1" in printed(
        folder, bare
    )


def test_a_run_that_kept_one_score_for_its_choice_is_told_as_it_was(
    judged: tuple[RunFolder, dict[str, Any]],
) -> None:
    folder, best = judged
    for number in (one["trial"] for one in best["candidates"]):
        folder.write_confirmation(number, folder.read_confirmation(number))
    folder.reported.unlink()
    old = {"score": 0.61, "interval": [0.5, 0.7], "scores": {}, "epochs": 2}
    write_best(folder, best | {"confirmed": old})
    run = analysis.load(folder.path)
    own = run.confirmed(best["trial"])
    assert own is not None
    assert run.reported is not None
    assert run.reported.score("weighted_f1") == own.score("weighted_f1")
    assert own.score("weighted_f1") == pytest.approx(best["candidates"][0]["confirmed"])
    found = answer(run)
    assert found is not None
    assert found.chosen.score == 0.61
    assert not any("choosing among" in verdict for verdict in found.verdicts)
    assert run.best is not None
    assert "confirmed 0.6100, 95 % interval 0.5000 to 0.7000\n" in printed(folder, run.best)
