"""Seeds of the many random streams of a search, from the one that a person gives."""

from __future__ import annotations

import numpy as np


def stream_seed(seed: int, number: int) -> int:
    """Give the seed of one of many streams: of a trial's draws, a fold, a repeat, a member.

    Seeds that are added up would make the streams of one seed shifted copies of another's.

    Args:
        seed: What the streams share, in [0, 2**32).
        number: Which of them, in [0, 2**32).

    Returns:
        In [0, 2**32), as PyTorch, NumPy and scikit-learn take it.

    Source:
        NumPy's `SeedSequence`, after O'Neill, "Developing a seed_seq Alternative", 2015.
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
