"""What a trial trains: the suffixes of its towers and the head on their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.modules.backbones.crossed import PAIR
from trainables.modules.blocks.slots import beside, role_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.modules.blocks.activations import Activations
    from trainables.modules.heads.head import Head


class Classifier(nn.Module):
    """Classify pairs from the activations at the cuts of their towers.

    Args:
        suffixes: The unfrozen part of each tower, by slot; the image's before that of the pair,
            which reads its tokens.
        head: Maps embeddings by role to logits.
        towers: Names of the towers whose activations it reads.

    Attributes:
        suffixes: What starts pretrained; trains at the backbone's learning rate.
        head: What starts random; trains at the head's.
        towers: As given.
    """

    def __init__(
        self, suffixes: Mapping[str, nn.Module], head: Head, towers: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.towers = tuple(towers)
        self.suffixes = nn.ModuleDict(dict(suffixes))
        self.head = head

    def branches(self, activations: Mapping[str, Activations]) -> dict[str, Tensor]:
        """Classify a batch by each branch of the head, which each have a loss of their own.

        Args:
            activations: By slot, as at the cut of each tower.

        Returns:
            Logits of each branch, shape (B, C); `head.fuse` makes the classifier's of them.
        """
        embeddings: dict[str, Tensor] = {}
        for slot, suffix in self.suffixes.items():
            given = activations[slot]
            if role_of(slot) == PAIR:
                # The image comes before; without it nothing that trains reads it.
                given = given._replace(seen=embeddings.get(beside(slot, "image")))
            embeddings[slot] = suffix(given).values
        return self.head.branches(side_by_side(embeddings))

    def forward(self, activations: Mapping[str, Activations]) -> Tensor:
        """Classify a batch.

        Args:
            activations: By slot, as at the cut of each tower.

        Returns:
            Logits, shape (B, C).
        """
        return self.head.fuse(self.branches(activations))


def side_by_side(embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the embeddings of each role.

    Args:
        embeddings: By slot, each of shape (B, D).

    Returns:
        By role, each of shape (B, D), or (B, D1 + D2) of two towers.
    """
    roles: dict[str, list[Tensor]] = {}
    for slot, embedding in embeddings.items():
        roles.setdefault(role_of(slot), []).append(embedding)
    return {
        role: torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        for role, parts in roles.items()
    }
