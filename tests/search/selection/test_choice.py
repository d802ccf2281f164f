"""The choice among confirmed configs, from probabilities that are written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from analysis.run_folder.best_record import Best
from analysis.run_folder.records import from_json
from search.selection.baseline import verdict
from search.selection.choice import choose_config
from tests.records import read_best
from tests.search.selection.test_candidates import keyed, plan_of, record
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from search.config.plan import Plan

LABELS = np.array(([0] * 6 + [1] * 2 + [2] * 4) * 10)
ROWS = np.arange(len(LABELS))


def frame_of(right: float, seed: int, epochs: tuple[int, ...] = (2, 3, 3)) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    sure = np.where(random.random(len(LABELS)) < right, LABELS, random.integers(3, size=120))
    said = 0.6 * np.eye(3)[sure] + 0.4 * random.dirichlet([1, 1, 1], size=120)
    frame = pd.DataFrame(said, columns=list(SENTIMENTS.names))
    frame.insert(0, "row", ROWS)
    frame.insert(0, "fold", ROWS // 12 % 3)
    frame.insert(0, "epoch", np.array(epochs)[ROWS // 12 % 3])
    frame.insert(0, "repeat", 0)
    return frame


def history(plan: Plan, *numbers: int) -> None:
    for number in numbers:
        row = {"trial": number, "epoch": 1, "val_weighted_f1": 0.9 - number / 10}
        plan.folder.append_history({**row, "train_loss": 0.5})


@pytest.fixture
def judged(tmp_path: Path) -> Any:
    def judge_with(words: str, rights: dict[int, float], baseline: float | None = 0.3) -> Any:
        plan = plan_of(f"--folds 3 {words}", tmp_path)
        records = keyed(
            record(0, "finished", 0.9, hand_tuned=True),
            record(1, "finished", 0.8, params={"neutral_threshold": 0.7}),
            record(2, "finished", 0.7),
        )
        history(plan, 0, 1, 2)
        for number, right in rights.items():
            plan.folder.write_confirmation(number, frame_of(right, number))
        if baseline is not None:
            plan.folder.write_baseline(frame_of(baseline, 9).drop(columns="epoch"))
        picked = list(records.values())
        choose_config(plan, records, LABELS, picked)
        return plan, read_best(plan.folder)

    return judge_with


def test_the_best_confirmed_config_is_chosen_not_the_best_searched_one(judged: Any) -> None:
    plan, best = judged("", {0: 0.5, 1: 0.4, 2: 0.9})
    assert plan.folder.read_best() == from_json(Best, best)
    assert (best["trial"], best["score"]) == (2, 0.7)
    assert best["params"] == {"rate": 0.2}
    assert [one["trial"] for one in best["candidates"]] == [2, 0, 1]
    frame = frame_of(0.9, 2)
    decided = frame[list(SENTIMENTS.names)].to_numpy().argmax(axis=1)
    per_fold = [
        f1_score(LABELS[frame["fold"] == k], decided[frame["fold"] == k], average="weighted")
        for k in range(3)
    ]
    confirmed = best["confirmed"]
    assert confirmed["score"] == pytest.approx(np.mean(per_fold))
    assert confirmed["spread"] == pytest.approx(np.std(per_fold))
    low, high = confirmed["interval"]
    assert low < confirmed["score"] < high
    # The error and the interval are of the same draws: a normal one's is 3.92 errors wide.
    assert high - low == pytest.approx(3.92 * confirmed["standard_error"], rel=0.06)
    assert confirmed["scores"]["val_weighted_f1"] == confirmed["score"]
    assert (confirmed["epochs"], confirmed["repeats"]) == (3, 1)  # 8/3 rounded
    assert best["comparison"]["difference"] == pytest.approx(
        best["candidates"][0]["confirmed"] - best["candidates"][1]["confirmed"]
    )


def frame_by_fold(rights: Sequence[float], shift: float = 0) -> pd.DataFrame:
    """A config that is right in so many twelfths of each fold, from the first on, and sure."""
    frame = frame_of(1.0, 0)
    folds = frame.groupby("fold")["row"]
    place = (folds.cumcount() / folds.transform("size") - shift / 12) % 1
    wrong = place.to_numpy() >= np.array(rights)[frame["fold"]] / 12
    frame[list(SENTIMENTS.names)] = np.eye(3)[np.where(wrong, (LABELS + 1) % 3, LABELS)]
    return frame


def judged_by_fold(plan: Plan, rights: dict[int, Sequence[float]], **more: Any) -> Any:
    history(plan, *rights)
    records = [record(number, "finished", 0.5) for number in rights]
    for number, shares in rights.items():
        plan.folder.write_confirmation(number, frame_by_fold(shares))
    choose_config(plan, keyed(*records), LABELS, records, **more)
    return read_best(plan.folder)


def test_what_is_told_is_the_score_of_folds_that_had_no_part_in_choosing(tmp_path: Path) -> None:
    plan = plan_of("--folds 3 --metric val_accuracy", tmp_path)
    best = judged_by_fold(plan, {1: (11, 6, 6), 2: (5, 10, 7), 3: (3, 3, 3)})
    # In twelfths, summed: 23, 22 and 9. The others of fold 0 choose trial 2 (17 against 12), those
    # of fold 1 trial 1 (17 against 12), those of fold 2 trial 1 (17 against 15).
    assert (best["trial"], best["confirmed"]["folds_chose"]) == (1, [2, 1, 1])
    assert best["candidates"][0]["confirmed"] == pytest.approx(23 / 36)
    assert best["confirmed"]["score"] == pytest.approx((5 + 6 + 6) / 36)
    assert best["confirmed"]["scores"]["val_accuracy"] == best["confirmed"]["score"]
    assert best["confirmed"]["contenders"] == 3
    told = plan.folder.read_reported()
    assert told.groupby("fold")["trial"].unique().map(list).tolist() == [[2], [1], [1]]
    right = told["decided"] == LABELS[told["row"]]
    assert right.groupby(told["fold"]).mean().mean() == pytest.approx(17 / 36)


def test_epochs_are_those_that_the_rule_of_now_chooses(tmp_path: Path) -> None:
    # Kept as chosen: the first epoch. By the likeliest class the second one is right throughout.
    plan = plan_of("--folds 3 --metric val_accuracy --decision argmax", tmp_path)
    history(plan, 1)
    epochs = [
        frame_by_fold(rights).assign(epoch=n) for n, rights in ((1, (3,) * 3), (2, (9,) * 3))
    ]
    frame = pd.concat([each.assign(chosen=each["epoch"] == 1) for each in epochs])
    plan.folder.write_confirmation(1, frame.reset_index(drop=True))
    one = record(1, "finished", 0.5)
    best = choose_config(plan, keyed(one), LABELS, [one])
    assert best is not None
    assert best.confirmed is not None
    assert best.confirmed.epochs == 2
    assert best.confirmed.score == pytest.approx(0.75)
    assert set(plan.folder.read_reported()["epoch"]) == {2}


def test_duplicates_are_drawn_together_and_what_the_interval_covers_is_told(
    tmp_path: Path,
) -> None:
    words, rights = "--folds 3 --metric val_accuracy", {1: (6, 6, 6)}
    widths = []
    for number, size in enumerate((1, 12)):  # each on its own, and by twelve
        plan = plan_of(words, tmp_path / str(number))
        plan.folder.write_samples(pd.DataFrame({"group": ROWS // size}))
        confirmed = judged_by_fold(plan, rights)["confirmed"]
        widths.append(confirmed["standard_error"])
        assert "which samples are scored (duplicates together)" in confirmed["covers"]
        assert "not other seeds" in confirmed["covers"]
    assert widths[1] > 2 * widths[0]


def test_a_config_of_which_no_model_can_be_had_is_passed_over(tmp_path: Path) -> None:
    plan = plan_of("--folds 3 --metric val_accuracy", tmp_path)
    rights = {1: (11, 11, 11), 2: (6, 6, 6)}
    best = judged_by_fold(plan, rights, failed={1})
    assert (best["trial"], best["confirmed"]["contenders"]) == (2, 1)
    assert best["confirmed"]["score"] == pytest.approx(0.5)
    records = keyed(record(1, "finished", 0.9), record(3, "finished", 0.2))
    other = choose_config(plan, records, LABELS, [], {1})
    assert other is not None
    assert (other.trial, other.confirmed) == (3, None)
    assert choose_config(plan, records, LABELS, [], {1, 3}) is None


def test_a_trials_own_threshold_decides_and_argmax_ignores_it(judged: Any) -> None:
    _, searched = judged("", {1: 0.7})
    frame = frame_of(0.7, 1)
    said = frame[list(SENTIMENTS.names)].to_numpy()
    by_threshold = np.where((said[:, [0, 2]] < 0.7).all(axis=1), 1, said.argmax(axis=1))
    assert (by_threshold != said.argmax(axis=1)).any()
    accuracy = [np.mean((by_threshold == LABELS)[frame["fold"].to_numpy() == k]) for k in range(3)]
    assert searched["confirmed"]["scores"]["val_accuracy"] == pytest.approx(np.mean(accuracy))
    decision = searched["decision"]
    assert (decision["rule"], decision["neutral_threshold"]) == ("searched", 0.7)
    assert decision["searched_score"] == pytest.approx(searched["confirmed"]["score"])


def test_the_tuned_rule_is_scored_by_thresholds_of_other_folds(judged: Any) -> None:
    _, best = judged("--decision tuned", {1: 0.6})
    decision = best["decision"]
    assert decision["rule"] == "tuned"
    assert decision["tuned_score"] == pytest.approx(best["confirmed"]["score"])
    assert 0 <= decision["neutral_threshold"] <= 1
    assert decision["temperature"] > 0


def test_the_majority_is_scored_as_worked_by_hand(judged: Any) -> None:
    # Half the samples are positive: its F1 is 2 * 0.5 / 1.5, and half of all samples weigh it.
    _, best = judged("", {0: 0.5})
    majority = best["floor"]["majority"]
    assert majority["val_accuracy"] == pytest.approx(0.5)
    assert majority["val_weighted_f1"] == pytest.approx(1 / 3)
    assert majority["val_f1_neutral"] == 0
    assert majority["val_loss"] == pytest.approx(
        -(6 * np.log(6 / 12) + 2 * np.log(2 / 12) + 4 * np.log(4 / 12)) / 12
    )


def test_the_margin_above_the_baseline_is_in_standard_errors_of_the_difference(
    judged: Any,
) -> None:
    _, best = judged("", {0: 0.2, 2: 0.9}, baseline=0.4)
    baseline = best["floor"]
    gap = best["confirmed"]["score"] - baseline["logistic_regression"]["val_weighted_f1"]
    assert baseline["margin"] == pytest.approx(gap)
    assert baseline["standard_errors"] > 3
    assert baseline["hand_tuned"]["val_weighted_f1"] < baseline["margin"] + 1
    assert "beats the logistic regression" in best["verdict"]
    assert "beats the hand-tuned config" in best["verdict"]


def test_a_lower_loss_is_the_better_one(judged: Any) -> None:
    _, best = judged("--metric val_loss", {1: 0.9, 2: 0.2})
    assert best["trial"] == 1
    assert best["floor"]["margin"] > 0


def test_without_a_confirmed_config_the_searched_one_stays(judged: Any) -> None:
    _, best = judged("", {}, baseline=0.4)
    assert best["trial"] == 0
    assert best["confirmed"] is best["candidates"] is best["decision"] is best["verdict"] is None
    assert best["floor"]["margin"] is None
    assert best["floor"]["logistic_regression"]["val_accuracy"] > 0.4


def test_the_verdict_is_plain() -> None:
    margins = {
        "majority": (0.2, 11.04),
        "logistic_regression": (-0.03, -2.0),
        "hand_tuned": (0.004, 0.5),
    }
    assert verdict("val_weighted_f1", 0.65, margins) == (
        "the confirmed val_weighted_f1 of 0.6500 beats the majority class by 0.2000 (11.0 standard"
        " errors), loses to the logistic regression by 0.0300 (2.0 standard errors) and is level"
        " with the hand-tuned config (+0.0040, 0.5 standard errors)"
    )
    del margins["hand_tuned"]
    assert verdict("val_weighted_f1", 0.65, margins).endswith("; it is the hand-tuned config")
