"""The trainable model of a trial: the suffixes of its towers and a head on their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.modules.backbones.cross_attention import PAIR
from trainables.modules.blocks.dropout import replace_dropout
from trainables.modules.blocks.slots import beside, role_of
from trainables.modules.heads.views import VIEW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.modules.blocks.activations import Activations
    from trainables.modules.heads.head import Head
    from trainables.modules.heads.views import ViewConcatenation, ViewProjection


class Classifier(nn.Module):
    """Classify pairs from the activations at the cuts of their towers.

    The head and the views compute in float32 whatever the precision of the suffixes: they are
    small, rounded logits cross neutral thresholds, and a regression, whose features are not
    standardised, would lose their digits to their means.

    Args:
        suffixes: The trainable part of each tower, by slot; `image` before `pair`, which attends
            to its tokens.
        head: From embeddings by role to logits.
        towers: Names of the towers whose activations it reads.
        views: Embeds the features of views, or gives them as they are; None where none is read.

    Attributes:
        suffixes: Pretrained; trained at the backbone's learning rate.
        head: Randomly initialised; trained at the head's learning rate.
        towers: As given.
        views: What starts random, too.
    """

    def __init__(
        self,
        suffixes: Mapping[str, nn.Module],
        head: Head,
        towers: Sequence[str] = (),
        views: ViewProjection | ViewConcatenation | None = None,
    ) -> None:
        super().__init__()
        self.towers = tuple(towers)
        self.suffixes = nn.ModuleDict(dict(suffixes))
        self.head = head
        self.views = views
        replace_dropout(self)

    @property
    def starts_random(self) -> nn.ModuleList:
        """The modules that no checkpoint holds: the head, and the embedding of the views."""
        return nn.ModuleList([self.head] if self.views is None else [self.head, self.views])

    def branches(self, activations: Mapping[str, Activations]) -> dict[str, Tensor]:
        """Classify a batch with each branch of the head, each of which has its own loss.

        Args:
            activations: By slot, at the cut of each tower; and the features of each view, by name.

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
        read = {role: each.float() for role, each in concatenate_by_role(embeddings).items()}
        with torch.autocast(next(iter(read.values())).device.type, enabled=False):
            if self.views is not None:
                features = {name: activations[name].values for name in self.views.names}
                read[VIEW] = self.views(features)
            return self.head.branches(read)

    def forward(self, activations: Mapping[str, Activations]) -> Tensor:
        """Classify activations by slot, at the cut of each tower, to logits (B, C)."""
        return self.head.fuse(self.branches(activations))


def concatenate_by_role(embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Concatenate the embeddings (B, D) of each role's slots."""
    roles: dict[str, list[Tensor]] = {}
    for slot, embedding in embeddings.items():
        roles.setdefault(role_of(slot), []).append(embedding)
    return {
        role: torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        for role, parts in roles.items()
    }
