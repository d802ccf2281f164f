"""The curve of a search looks at doubled numbers of trials, and adds up what they took."""

from __future__ import annotations

import pytest

from tests.benchmarks.curve import counts_until, seconds_until


@pytest.mark.parametrize(
    ("trials", "counts"),
    [(0, [0]), (1, [0, 1]), (8, [0, 1, 2, 4, 8]), (40, [0, 1, 2, 4, 8, 16, 32, 40])],
)
def test_numbers_of_trials_are_doubled_and_end_at_all(trials: int, counts: list[int]) -> None:
    assert counts_until(trials) == counts


def test_seconds_are_those_of_all_trials_before() -> None:
    assert seconds_until([3.0, 4.0, 5.0], [0, 1, 3]) == [0.0, 3.0, 12.0]
