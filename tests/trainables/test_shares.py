from __future__ import annotations

import pytest

from trainables.shares import memory_fraction


@pytest.mark.parametrize(
    ("share", "total", "fraction"),
    [
        (0.5, 24_000, 0.475),
        (0.25, 12_000, 0.2),
        (0.1, 8_000, 0.05),  # 800 MB, of which CUDA would take 600
        (1.0, 12_000, 1.0),
        (2.0, 12_000, 1.0),
    ],
)
def test_shares_and_what_cuda_takes_for_each_fill_a_gpu(
    share: float, total: float, fraction: float
) -> None:
    assert memory_fraction(share, total) == pytest.approx(fraction)
