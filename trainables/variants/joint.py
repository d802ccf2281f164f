"""What the variants on one checkpoint with two towers share: CLIP and BLIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import TrainConfig
from trainables.data.sample import Sentiment
from trainables.modules.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.modules.classifier import Classifier
    from trainables.modules.heads import Fusion
    from trainables.modules.tower import Tower


@dataclass(frozen=True, kw_only=True)
class JointConfig(TrainConfig):
    """Hyperparameters of a classifier on two towers that embed into one space.

    Attributes:
        fusion: `add` sums the two embeddings, `concat` lays them end to end.
        normalize: Whether embeddings are scaled to unit L2 norm before.
        text_unfrozen_layers: How many of the text tower's last blocks train, >= 0.
        image_unfrozen_layers: How many of the image tower's last blocks train, >= 0.
        hidden_width: Size of the classifier's hidden layer, >= 1.
        head_dropout: Drop probability in the classifier, in [0, 1).
    """

    fusion: Fusion = "add"
    normalize: bool = False
    text_unfrozen_layers: int = 2
    image_unfrozen_layers: int = 2
    hidden_width: int = 256
    head_dropout: float = 0.5

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the values.

        Yields:
            One sentence per value out of its range.
        """
        yield from super().faults()
        if self.fusion not in {"add", "concat"}:
            yield f"fusion must be add or concat, got {self.fusion!r}"
        for name in ("text_unfrozen_layers", "image_unfrozen_layers"):
            if getattr(self, name) < 0:
                yield f"{name} must be >= 0, got {getattr(self, name)}"
        if self.hidden_width < 1:
            yield f"hidden_width must be >= 1, got {self.hidden_width}"
        if not 0 <= self.head_dropout < 1:
            yield f"head_dropout must be in [0, 1), got {self.head_dropout}"


def cut_joint(config: JointConfig) -> dict[str, Cut]:
    """Say where a config cuts the towers.

    Args:
        config: The trial's hyperparameters.

    Returns:
        The cuts, by role.
    """
    return {"text": Cut(config.text_unfrozen_layers), "image": Cut(config.image_unfrozen_layers)}


def build_joint(config: JointConfig, towers: Mapping[str, Tower]) -> Classifier:
    """Build the classifier: suffixes and projections as pretrained, and a head that starts random.

    Args:
        config: The trial's hyperparameters.
        towers: The towers, by role.

    Returns:
        The classifier, on the CPU.
    """
    from trainables.modules.classifier import Classifier  # noqa: PLC0415 - keeps torch out
    from trainables.modules.heads import JointHead  # noqa: PLC0415 - of the driver

    cuts = cut_joint(config)
    head = JointHead(
        {role: towers[role].width for role in cuts},
        config.hidden_width,
        len(Sentiment),
        config.head_dropout,
        fusion=config.fusion,
        normalize=config.normalize,
    )
    return Classifier({role: towers[role].suffix(cut) for role, cut in cuts.items()}, head)
