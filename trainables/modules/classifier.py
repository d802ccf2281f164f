"""What a trial trains: the suffixes of its towers and the head on their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.tower import Activations


class Classifier(nn.Module):
    """Classify pairs from the activations at the cuts of their towers.

    Args:
        suffixes: The unfrozen part of each tower, by role.
        head: Maps embeddings by role to logits.

    Attributes:
        suffixes: What starts pretrained; trains at the backbone's learning rate.
        head: What starts random; trains at the head's.
    """

    def __init__(self, suffixes: Mapping[str, nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.suffixes = nn.ModuleDict(dict(suffixes))
        self.head = head

    def forward(self, activations: Mapping[str, Activations]) -> Tensor:
        """Classify a batch.

        Args:
            activations: By role, as at the cut of each tower.

        Returns:
            Logits, shape (B, C).
        """
        embeddings = {
            role: suffix(activations[role]).values for role, suffix in self.suffixes.items()
        }
        logits: Tensor = self.head(embeddings)
        return logits
