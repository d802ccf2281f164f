"""Seeds of a search's independent random streams, derived from the user's seed."""

from __future__ import annotations

import numpy as np


def stream_seed(seed: int, number: int) -> int:
    """Derive the seed of an independent stream, such as that of a trial, a fold or a member.

    Sums of seeds would make the streams of one seed shifted copies of another's.

    Args:
        seed: The common seed, in [0, 2**32).
        number: Index of the stream, in [0, 2**32).

    Returns:
        A seed in [0, 2**32), valid for PyTorch, NumPy and scikit-learn.

    Source:
        NumPy's `SeedSequence`, after O'Neill, "Developing a seed_seq Alternative", 2015.
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
