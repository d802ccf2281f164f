"""Temperature and reliability, by hand and against a truth that is known."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.evaluation.calibration import (
    fit_temperature,
    log_losses,
    reliability,
    with_temperature,
)


def test_temperature_takes_roots() -> None:
    # At T = 2 probabilities go as their square roots: 0.8 and 0.2 as 2 to 1.
    got = with_temperature(np.array([[0.8, 0.2]]), 2.0)
    np.testing.assert_allclose(got, [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(with_temperature(np.array([[0.8, 0.2]]), 1.0), [[0.8, 0.2]])


def test_the_loss_is_the_logarithm_of_the_true_class() -> None:
    losses = log_losses(np.array([1, 0]), np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(losses, [np.log(4), 0], atol=1e-12)


def test_the_temperature_that_spoilt_probabilities_is_found() -> None:
    random = np.random.default_rng(0)
    honest = random.dirichlet([1, 1, 1], size=20_000)
    labels = (random.random(20_000)[:, None] > honest.cumsum(axis=1)).sum(axis=1).clip(max=2)
    assert fit_temperature(labels, honest) == pytest.approx(1, abs=0.05)
    assert fit_temperature(labels, with_temperature(honest, 0.4)) == pytest.approx(2.5, abs=0.1)


def test_no_temperature_of_a_grid_has_a_lower_loss() -> None:
    random = np.random.default_rng(1)
    labels, probabilities = random.integers(3, size=50), random.dirichlet([1, 1, 1], size=50)
    probabilities[0] = [1, 0, 0]

    def loss(temperature: float) -> float:
        return float(log_losses(labels, with_temperature(probabilities, temperature)).mean())

    best = loss(fit_temperature(labels, probabilities))
    assert best <= min(loss(t) for t in np.geomspace(0.05, 20, 400)) + 1e-6


def test_the_expected_error_is_that_worked_by_hand() -> None:
    # Two samples at 0.9, one right; two at 0.6, both right: gaps of 0.4 and 0.4.
    probabilities = np.array([[0.9, 0.05, 0.05]] * 2 + [[0.6, 0.2, 0.2]] * 2)
    found = reliability(np.array([0, 1, 0, 0]), probabilities, bins=10)
    assert found.counts.tolist() == [2, 2]
    np.testing.assert_allclose(found.confidence, [0.6, 0.9])
    np.testing.assert_allclose(found.accuracy, [1, 0.5])
    assert found.expected_error == pytest.approx(0.4)


def test_a_probability_of_1_is_in_the_last_bin() -> None:
    assert reliability(np.array([0]), np.array([[1.0, 0, 0]])).expected_error == 0
