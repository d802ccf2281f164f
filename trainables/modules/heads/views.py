"""What a head reads of views, beside the towers' embeddings: their features, or a projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VIEW = "view"
"""The name, among a head's embeddings, of the one that is made of all views."""

PROJECTION_WIDTH = 32
"""Size that all views together are projected to: small beside any tower's embedding."""


def without_views(widths: Mapping[str, int]) -> dict[str, int]:
    """Keep the sizes of the towers' embeddings alone."""
    return {role: width for role, width in widths.items() if role != VIEW}


class Standardization(nn.Module):
    """Shift and scale W features to mean 0 and standard deviation 1.

    The constants are buffers: they are saved with the weights and do not train.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def fit(self, features: Tensor) -> None:
        """Take the constants from features (T, W); a feature that is constant there stays 0."""
        self.mean.copy_(features.mean(dim=0))
        deviation = features.std(dim=0, correction=0)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Standardise features (B, W), float32."""
        return (features - self.mean) / self.deviation


class ViewConcatenation(nn.Module):
    """Concatenate the features of the views that a config reads, in the order of `names`."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Concatenate the features (B, W) of each view, float32."""
        return torch.cat([features[name] for name in self.names], dim=-1)


class ViewProjection(nn.Module):
    """Embed the features of all views that a config reads; `widths` is their number by view."""

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.concatenate = ViewConcatenation(widths)
        self.names = self.concatenate.names
        self.standardize = Standardization(sum(widths.values()))
        self.project = nn.Linear(sum(widths.values()), PROJECTION_WIDTH)

    def fit(self, features: Mapping[str, Tensor]) -> None:
        """Take the constants of the standardisation from training samples, (T, W) by view."""
        self.standardize.fit(self.concatenate(features))

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Embed the features of each view, (B, W), to (B, `PROJECTION_WIDTH`)."""
        projected: Tensor = self.project(self.standardize(self.concatenate(features)))
        return F.relu(projected)
