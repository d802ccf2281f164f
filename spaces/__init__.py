"""The search space of every variant, read from the hyperparameters of its config.

Nothing here imports a framework: the command line names its choices from here, and must answer at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.space import Space
from trainables.hyperparameter import hyperparameters_of
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

SPACES: Mapping[str, Space] = {
    name: Space(hyperparameters_of(variant.config).values()) for name, variant in VARIANTS.items()
}
