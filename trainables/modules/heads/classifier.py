"""What a trial trains: the suffixes of its towers and the head on their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from trainables.modules.backbones.crossed import PAIR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.blocks.activations import Activations
    from trainables.modules.heads.head import Head


class Classifier(nn.Module):
    """Classify pairs from the activations at the cuts of their towers.

    Args:
        suffixes: The unfrozen part of each tower, by role; the image's before that of the pair,
            which reads its tokens.
        head: Maps embeddings by role to logits.

    Attributes:
        suffixes: What starts pretrained; trains at the backbone's learning rate.
        head: What starts random; trains at the head's.
    """

    def __init__(self, suffixes: Mapping[str, nn.Module], head: Head) -> None:
        super().__init__()
        self.suffixes = nn.ModuleDict(dict(suffixes))
        self.head = head

    def branches(self, activations: Mapping[str, Activations]) -> dict[str, Tensor]:
        """Classify a batch by each branch of the head, which each have a loss of their own.

        Args:
            activations: By role, as at the cut of each tower.

        Returns:
            Logits of each branch, shape (B, C); `head.fuse` makes the classifier's of them.
        """
        embeddings: dict[str, Tensor] = {}
        for role, suffix in self.suffixes.items():
            given = activations[role]
            if role == PAIR:  # the image comes before; without it nothing that trains reads it
                given = given._replace(seen=embeddings.get("image"))
            embeddings[role] = suffix(given).values
        return self.head.branches(embeddings)

    def forward(self, activations: Mapping[str, Activations]) -> Tensor:
        """Classify a batch.

        Args:
            activations: By role, as at the cut of each tower.

        Returns:
            Logits, shape (B, C).
        """
        return self.head.fuse(self.branches(activations))
