"""Bootstrap and standard errors: against formulas, brute force and known cases."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from trainables.evaluation.calibration import log_losses
from trainables.evaluation.decision import decide
from trainables.evaluation.resampling import (
    Validated,
    interval,
    paired_bootstrap,
    resampled_scores,
)


def validated(seed: int, count: int = 60, folds: int = 3, right: float = 0.6) -> Validated:
    labels = np.random.default_rng(0).integers(3, size=count)
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([1, 1, 1], size=count)
    sure = np.where(random.random(count) < right, labels, random.integers(3, size=count))
    probabilities = 0.5 * probabilities + 0.5 * np.eye(3)[sure]
    rows = np.arange(count)
    return Validated(rows, rows % folds, labels, probabilities, decide(probabilities, 0.0))


def test_a_score_is_the_mean_over_folds_of_scikit_learns() -> None:
    one = validated(1)
    per_fold = [
        f1_score(one.labels[one.parts == k], one.decided[one.parts == k], average="weighted")
        for k in range(3)
    ]
    np.testing.assert_allclose(one.part_scores("weighted_f1"), per_fold)
    assert one.score("weighted_f1") == pytest.approx(np.mean(per_fold))
    losses = log_losses(one.labels, one.probabilities)
    assert one.score("loss") == pytest.approx(losses.mean())


def test_weights_count_samples_more_than_once() -> None:
    one = validated(1, count=9, folds=1)
    weights = np.arange(9.0)[None]
    rows = np.repeat(np.arange(9), np.arange(9))
    again = Validated(
        rows, one.parts[rows], one.labels[rows], one.probabilities[rows], one.decided[rows]
    )
    for name in ("weighted_f1", "macro_f1", "accuracy", "loss"):
        assert one.part_scores(name, weights)[0, 0] == pytest.approx(again.score(name))


def test_the_spread_of_resampled_accuracy_is_that_of_the_binomials() -> None:
    one = validated(2, count=400, folds=1)
    variance = 0.0
    for label in range(3):
        mine = one.labels == label
        share = (one.decided == one.labels)[mine].mean()
        variance += mine.sum() * share * (1 - share) / 400**2
    (draws,) = resampled_scores("accuracy", [one])
    assert draws.std() == pytest.approx(math.sqrt(variance), rel=0.06)
    assert draws.mean() == pytest.approx(one.score("accuracy"), abs=0.002)
    low, high = interval(draws)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.1)


def test_the_same_seed_draws_the_same() -> None:
    pair = [validated(1), validated(2)]
    first = resampled_scores("macro_f1", pair, seed=3, draws=600)
    assert (first == resampled_scores("macro_f1", pair, seed=3, draws=600)).all()
    assert (first != resampled_scores("macro_f1", pair, seed=4, draws=600)).any()
    assert first.shape == (2, 600)


def test_a_sample_brings_all_its_repeats() -> None:
    one = validated(1, folds=1)
    twice = Validated(
        np.tile(one.rows, 2),
        np.repeat([0, 1], len(one.rows)),
        np.tile(one.labels, 2),
        np.tile(one.probabilities, (2, 1)),
        np.tile(one.decided, 2),
    )
    single, double = resampled_scores("weighted_f1", [one, twice])
    np.testing.assert_allclose(single, double)


def test_a_config_does_not_differ_from_itself() -> None:
    same = paired_bootstrap("weighted_f1", validated(1), validated(1))
    assert same.difference == 0
    assert same.interval == (0, 0)
    assert same.p_value == 1


def test_a_clear_difference_is_found_and_pairing_makes_it_sharper() -> None:
    good, bad = validated(1, 500, right=0.8), validated(2, 500, right=0.3)
    found = paired_bootstrap("accuracy", good, bad)
    assert found.interval[0] > 0
    assert found.p_value == pytest.approx(2 / 2001)
    close = Validated(
        good.rows,
        good.parts,
        good.labels,
        good.probabilities,
        np.where(good.rows < 20, (good.labels + 1) % 3, good.decided),
    )
    paired = paired_bootstrap("accuracy", good, close)
    alone = resampled_scores("accuracy", [good]).std() * math.sqrt(2)
    assert 0 < paired.standard_error < 0.7 * alone


def test_a_true_null_is_rejected_no_more_often_than_it_says() -> None:
    p_values = [
        paired_bootstrap("accuracy", validated(2 * k, 150), validated(2 * k + 1, 150)).p_value
        for k in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.05) <= 0.15


def repeated(one: Validated, times: int, **more: Any) -> Validated:
    """The same validations in so many rows of other numbers, or of the same ones."""
    rows = np.concatenate([one.rows + k * len(one.rows) for k in range(times)])
    tiled = {
        "rows": rows,
        "parts": np.tile(one.parts, times),
        "labels": np.tile(one.labels, times),
        "probabilities": np.tile(one.probabilities, (times, 1)),
        "decided": np.tile(one.decided, times),
    }
    return Validated(**(tiled | more))


def test_duplicates_make_no_interval_narrower() -> None:
    one = validated(2, count=200)
    alone = resampled_scores("weighted_f1", [one])[0]
    doubled = repeated(one, 2)
    tied = replace(doubled, groups=np.tile(one.rows, 2))
    np.testing.assert_allclose(resampled_scores("weighted_f1", [tied])[0], alone)
    # As if every pair and its copy were two samples: narrower by the root of two.
    apart = resampled_scores("weighted_f1", [doubled])[0]
    assert apart.std() == pytest.approx(alone.std() / math.sqrt(2), rel=0.1)


def test_repeats_that_differ_widen_the_interval_as_a_mean_over_them_does() -> None:
    # Everything right in two repeats of four and wrong in the others: no sample differs, so all
    # the spread is the repeats'. The mean of four such has the standard error s / 2.
    rows = np.tile(np.arange(30), 4)
    labels, repeats = rows % 3, np.repeat(np.arange(4), 30)
    decided = np.where(repeats < 2, labels, (labels + 1) % 3)
    one = Validated(rows, repeats, labels, np.eye(3)[decided], decided, repeats=repeats)
    (draws,) = resampled_scores("accuracy", [one], draws=8000)
    assert draws.std() == pytest.approx(np.std([1, 1, 0, 0], ddof=1) / 2, rel=0.05)
    assert draws.mean() == pytest.approx(0.5, abs=0.02)
    assert "4 repeats" in one.covers
    (single,) = resampled_scores("accuracy", [replace(one, repeats=None)])
    assert single.std() == 0


def test_a_fold_of_which_nothing_was_drawn_is_left_out() -> None:
    labels, groups = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 0, 3, 4])
    parts = np.array([0, 0, 0, 1, 1])
    one = Validated(np.arange(5), parts, labels, np.eye(3)[labels], labels, groups)
    assert (resampled_scores("accuracy", [one, replace(one, groups=None)]) == 1).all()
