"""What every variant on a text and an image tower shares: how deep each trains, and a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import InputSettings, TrainConfig
from trainables.modules.blocks.cut import Cut, Pooling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainables.config import Role
    from trainables.modules.backbones.tower import Tower

# What sentence encoders and ImageNet classifiers were pretrained on: punctuation and whole tweets
# for one, the centre at a classifier's scale for the other.
PAIR_INPUTS = InputSettings(text_cleaning="minimal", text_length=64, image_preparation="imagenet")


@dataclass(frozen=True, kw_only=True)
class TowersConfig(TrainConfig):
    """Hyperparameters of a classifier on two towers.

    A field that begins with the name of a role has no say without it.

    Attributes:
        text_unfrozen_layers: How many of the text tower's last blocks train, >= 0.
        image_unfrozen_layers: How many of the image tower's last blocks train, >= 0.
        hidden_width: Size of the classifier's hidden layer, >= 1.
        head_dropout: Drop probability in the classifier, in [0, 1).
        block_dropout: Drop probability after each unfrozen transformer block, in [0, 1).
    """

    text_unfrozen_layers: int = 2
    image_unfrozen_layers: int = 2
    hidden_width: int = 256
    head_dropout: float = 0.5
    block_dropout: float = 0.0

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the values.

        Yields:
            One sentence per value out of its range.
        """
        yield from super().faults()
        for name in ("text_unfrozen_layers", "image_unfrozen_layers"):
            if getattr(self, name) < 0:
                yield f"{name} must be >= 0, got {getattr(self, name)}"
        if self.hidden_width < 1:
            yield f"hidden_width must be >= 1, got {self.hidden_width}"
        for name in ("head_dropout", "block_dropout"):
            if not 0 <= getattr(self, name) < 1:
                yield f"{name} must be in [0, 1), got {getattr(self, name)}"

    def cuts(self) -> dict[Role, Cut]:
        """Say where the towers are cut.

        Returns:
            The cuts, by role.
        """
        return {
            "text": Cut(self.text_unfrozen_layers),
            "image": Cut(self.image_unfrozen_layers),
        }


@dataclass(frozen=True, kw_only=True)
class PairConfig(TowersConfig):
    """Hyperparameters of a classifier on two towers that each have weights of their own.

    Attributes:
        text_pooling: `cls` reads the first token, `mean` averages all.
    """

    text_pooling: Pooling = "mean"

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the values.

        Yields:
            One sentence per value out of its range.
        """
        yield from super().faults()
        if self.text_pooling not in {"cls", "mean"}:
            yield f"text_pooling must be cls or mean, got {self.text_pooling!r}"

    def cuts(self) -> dict[Role, Cut]:
        """Say where the towers are cut.

        Returns:
            The cuts, by role.
        """
        return super().cuts() | {"text": Cut(self.text_unfrozen_layers, self.text_pooling)}


def load_pair(backbones: Mapping[str, str], roles: Sequence[Role]) -> dict[str, Tower]:
    """Load towers that each come with weights of their own.

    Args:
        backbones: The weights of `text` and `image`.
        roles: Which to load.

    Returns:
        The towers, by role.
    """
    from trainables.modules.backbones import pretrained  # noqa: PLC0415 - keeps torch out of the driver

    loaders = {"text": pretrained.load_text_tower, "image": pretrained.load_image_tower}
    return {role: loaders[role](backbones[role]) for role in roles}
