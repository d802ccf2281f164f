"""The trainable model of a trial: the suffixes of its towers and a head on their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.modules.backbones.cross_attention import PAIR
from trainables.modules.blocks.slots import beside, role_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.modules.blocks.activations import Activations
    from trainables.modules.heads.head import Head


class Classifier(nn.Module):
    """Classify pairs from the activations at the cuts of their towers.

    Args:
        suffixes: The trainable part of each tower, by slot; `image` before `pair`, which attends
            to its tokens.
        head: From embeddings by role to logits.
        towers: Names of the towers whose activations it reads.

    Attributes:
        suffixes: Pretrained; trained at the backbone's learning rate.
        head: Randomly initialised; trained at the head's learning rate.
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
        """Classify a batch with each branch of the head, each of which has its own loss.

        Args:
            activations: By slot, at the cut of each tower.

        Returns:
            Logits of each branch, shape (B, C); `head.fuse` combines them.
        """
        embeddings: dict[str, Tensor] = {}
        for slot, suffix in self.suffixes.items():
            given = activations[slot]
            if role_of(slot) == PAIR:
                # Without an image suffix, nothing trainable attends to the image.
                given = given._replace(encoder_hidden_states=embeddings.get(beside(slot, "image")))
            embeddings[slot] = suffix(given).values
        return self.head.branches(concatenate_by_role(embeddings))

    def forward(self, activations: Mapping[str, Activations]) -> Tensor:
        """Classify activations by slot, at the cut of each tower, to logits (B, C)."""
        return self.head.fuse(self.branches(activations))


def concatenate_by_role(embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Concatenate the embeddings of each role.

    Args:
        embeddings: By slot, each of shape (B, D).

    Returns:
        By role, each of shape (B, D), or (B, D1 + D2) for two towers.
    """
    roles: dict[str, list[Tensor]] = {}
    for slot, embedding in embeddings.items():
        roles.setdefault(role_of(slot), []).append(embedding)
    return {
        role: torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        for role, parts in roles.items()
    }
