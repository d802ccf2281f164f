"""A member of the final model, as the driver describes it, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.variants.variant import MemberKind


class FinalMember(NamedTuple):
    """One classifier of the final model, before it is put together.

    Attributes:
        params: Its hyperparameters, by name.
        weights: Of `train_member` or `fit_regression`; averaged if there are several.
        share: Its weight in the average of probabilities, > 0, relative to the others.
        kind: Whether `train_member` or `fit_regression` made it.
    """

    params: Mapping[str, Any]
    weights: Sequence[bytes]
    share: float = 1.0
    kind: MemberKind = "trained"
