"""What a view is: numbers read from a sample as it was posted, beside what the towers embed.

A view is deterministic and cheap, a second or so for thousands of samples: it is computed once
per process and not cached on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainables.config import Role
    from trainables.data.sample import Sample


@dataclass(frozen=True, kw_only=True)
class View:
    """One view of the samples.

    Attributes:
        name: Its name; also that of the hyperparameter that switches it on.
        reads: What it reads of a pair; where that is left out there is no view.
        columns: What each of its W features is.
        how: How to compute them without this code, in words.
        features: Computes them from N samples, shape (N, W), float32, all finite; neither labels
            nor the other samples may change a row.
        unfit: Says in a plain sentence why it cannot read some samples; empty where it can.
    """

    name: str
    reads: Role
    columns: tuple[str, ...]
    how: str
    features: Callable[[Sequence[Sample]], NDArray[np.float32]]
    unfit: Callable[[Sequence[Sample]], str]

    @property
    def width(self) -> int:
        """Number of features, W."""
        return len(self.columns)
