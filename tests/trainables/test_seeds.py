from __future__ import annotations

import numpy as np

from trainables.seeds import stream_seed


def test_streams_of_neighbouring_seeds_are_no_shifted_copies() -> None:
    pairs = [(seed, number) for seed in range(60) for number in range(60)]
    assert len({stream_seed(*pair) for pair in pairs}) == len(pairs)


def test_a_stream_is_the_same_whenever_it_is_asked_for() -> None:
    assert stream_seed(3, 4) == stream_seed(3, 4)
    assert stream_seed(3, 4) == np.random.SeedSequence([3, 4]).generate_state(1)[0]


def test_the_largest_numbers_have_a_seed_that_every_library_takes() -> None:
    assert 0 <= stream_seed(2**32 - 1, 2**32 - 1) < 2**32
