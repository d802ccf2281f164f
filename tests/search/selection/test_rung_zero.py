"""Rung zero: what is hopeless is so by paired standard errors; a search begins with the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from search.selection.rung_zero import (
    Standing,
    Truth,
    hopeless_choices,
    sentences,
    standings,
    standings_table,
    starts,
)
from search.study.combinations import Combination
from trainables.evaluation.calibration import log_losses
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.resampling import PairedDifference

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT = 300
LABELS = np.arange(COUNT) % 3
GROUPS = np.arange(COUNT)
FOLDS = np.arange(COUNT) % 5


def said(strength: float, seed: int) -> NDArray[np.float32]:
    """Probabilities that know the truth more or less."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(COUNT, 3)) + strength * np.eye(3)[LABELS]
    return softmax(logits, axis=1).astype(np.float32)


def frame_of(*probabilities: NDArray[np.float32]) -> pd.DataFrame:
    frames = []
    for number, each in enumerate(probabilities):
        frame = pd.DataFrame(each, columns=list(SENTIMENTS.names))
        frames.append(frame.assign(combination=number, fold=FOLDS, row=np.arange(COUNT)))
    return pd.concat(frames, ignore_index=True)


def made(*params: dict[str, str | bool]) -> list[Combination]:
    return [Combination(one, (one,)) for one in params]


def standing(errors: float, objective_errors: float, validated: int = 300) -> Standing:
    loss = PairedDifference(-errors * 0.01, 0.01, (-1.0, 1.0), 0.5)
    score = PairedDifference(-objective_errors * 0.02, 0.02, (-1.0, 1.0), 0.5)
    return Standing({}, 1.0, 0.5, loss, score, validated)


def test_the_lowest_log_loss_is_first_and_the_others_are_behind_it() -> None:
    found = made({"x": "bad"}, {"x": "good"})
    bad, good = said(0.5, 0), said(3.0, 1)
    truth = Truth(LABELS, GROUPS, 5, SENTIMENTS)
    first, second = standings(frame_of(bad, good), found, "accuracy", 1, truth)
    assert (first.params, second.params) == ({"x": "good"}, {"x": "bad"})
    losses = {name: log_losses(LABELS, p).mean() for name, p in (("bad", bad), ("good", good))}
    assert first.loss == pytest.approx(losses["good"])
    assert second.loss == pytest.approx(losses["bad"])
    assert second.score == pytest.approx((bad.argmax(axis=1) == LABELS).mean())
    assert second.loss_behind.difference == pytest.approx(losses["good"] - losses["bad"])
    assert second.score_behind.difference == pytest.approx(second.score - first.score)
    # The error of a mean of paired differences, by its formula; classes keep their counts.
    paired = log_losses(LABELS, bad) - log_losses(LABELS, good)
    expected = paired.std(ddof=1) / COUNT**0.5
    assert second.loss_behind.standard_error == pytest.approx(expected, rel=0.1)
    assert first.loss_behind.difference == first.loss_behind.standard_error == 0
    assert second.is_hopeless
    assert not first.is_hopeless


def test_less_of_the_log_loss_is_better_where_it_is_the_objective() -> None:
    truth = Truth(LABELS, GROUPS, 5, SENTIMENTS)
    order = standings(
        frame_of(said(0.5, 0), said(3.0, 1)), made({"x": "bad"}, {"x": "good"}), "loss", -1, truth
    )
    assert order[1].score_behind.difference < 0
    assert order[1].is_hopeless


@pytest.mark.parametrize(
    ("loss", "objective", "validated", "hopeless"),
    [
        (3.1, 3.1, 300, True),
        (2.9, 9.0, 300, False),
        (9.0, 2.9, 300, False),  # of which the search may make more than a regression
        (9.0, 9.0, 99, False),  # too few to be sure of the error
    ],
)
def test_hopeless_is_more_than_three_standard_errors_behind_in_both(
    loss: float, objective: float, validated: int, hopeless: bool
) -> None:
    assert standing(loss, objective, validated).is_hopeless is hopeless


def test_a_large_difference_alone_is_not_hopeless() -> None:
    unsure = PairedDifference(-5.0, 2.0, (-9.0, 1.0), 0.1)
    assert not Standing({}, 6.0, 0.1, unsure, unsure, 300).is_hopeless


def with_params(one: Standing, **params: str) -> Standing:
    return Standing(params, one.loss, one.score, one.loss_behind, one.score_behind, one.validated)


BEST, WORST = standing(0, 0), standing(9, 9)
ORDER = [
    with_params(BEST, text="a", view="on"),
    with_params(BEST, text="b", view="on"),
    with_params(WORST, text="a", view="off"),
    with_params(WORST, text="b", view="off"),
    with_params(WORST, text="c", view="off"),
]
FOUND = made(*(dict(one.params) for one in ORDER))  # type: ignore[arg-type]


def test_a_value_goes_when_all_that_has_it_is_hopeless() -> None:
    assert hopeless_choices(ORDER, FOUND) == {
        "text": frozenset({"c"}),
        "view": frozenset({"off"}),
    }


def test_a_value_stays_when_something_that_reads_alike_is_hopeful() -> None:
    alike = Combination({"fusion": "add"}, ({"fusion": "add"}, {"fusion": "concat"}))
    other = Combination({"fusion": "cross"}, ({"fusion": "cross"},))
    order = [with_params(BEST, fusion="cross"), with_params(WORST, fusion="add")]
    left_out = hopeless_choices(order, [alike, other])
    assert left_out == {"fusion": frozenset({"add", "concat"})}
    assert [s.split(" out of")[0] for s in sentences(order, [alike, other], left_out, "x")] == [
        "rung zero leaves fusion=add",
        "rung zero leaves fusion=concat",
    ]


def test_what_is_left_out_is_said_with_its_errors() -> None:
    (first, second) = sentences(ORDER, FOUND, hopeless_choices(ORDER, FOUND), "weighted_f1")
    assert first == (
        "rung zero leaves text=c out of the space: at best a logistic regression on it is 0.0900"
        " behind in log-loss (9.0 standard errors) and 0.1800 behind in weighted_f1 (9.0 standard"
        " errors); --no-rung-zero keeps it"
    )
    assert second.startswith("rung zero leaves view=off out of the space: ")


def test_the_search_begins_with_the_hand_tuned_config_on_the_best_combinations() -> None:
    hand_tuned = {"text": "b", "view": "on", "rate": 0.1}
    assert starts(ORDER, hand_tuned, {}, 3) == [{"text": "a", "view": "on", "rate": 0.1}]
    assert starts(ORDER, hand_tuned, {}, 0) == []


def test_the_table_says_where_each_stands() -> None:
    table = standings_table(ORDER)
    assert table["config/text"].tolist() == ["a", "b", "a", "b", "c"]
    assert table["hopeless"].tolist() == [False, False, True, True, True]
    assert table["loss_behind"].tolist() == pytest.approx([0, 0, 0.09, 0.09, 0.09])
    assert table["objective_error"].tolist() == [0.02] * 5
