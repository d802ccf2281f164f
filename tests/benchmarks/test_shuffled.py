"""What a guess can score that does not look: the ceiling of a search on shuffled labels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.shuffled import blind_guess


def test_two_classes_of_one_size_are_guessed_alike() -> None:
    assert blind_guess(np.array([0.5, 0.5])) == pytest.approx(0.5)


@pytest.mark.parametrize("shares", [(0.6, 0.1, 0.3), (0.4, 0.35, 0.25), (0.9, 0.05, 0.05)])
def test_no_rates_on_a_fine_grid_do_better(shares: tuple[float, ...]) -> None:
    p = np.array(shares)
    first, second = np.meshgrid(np.linspace(0, 1, 501), np.linspace(0, 1, 501))
    rates = np.stack([first, second, 1 - first - second], axis=-1)
    rates = rates[rates[..., 2] >= 0]
    scores = (2 * p**2 * rates / (p + rates)).sum(axis=-1)
    assert blind_guess(p) == pytest.approx(scores.max(), abs=1e-4)
    assert blind_guess(p) >= scores.max() - 1e-12
