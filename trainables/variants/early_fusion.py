"""Early fusion: a text and an image backbone, one classifier on both embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import TrainConfig
from trainables.data.sample import Sentiment
from trainables.modules.cut import Cut, Pooling
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.modules.classifier import Classifier
    from trainables.modules.tower import Tower


@dataclass(frozen=True, kw_only=True)
class EarlyFusionConfig(TrainConfig):
    """Hyperparameters of early fusion.

    Attributes:
        text_pooling: `cls` reads the first token, `mean` averages all.
        text_unfrozen_layers: How many of the text backbone's last blocks train, >= 0.
        image_unfrozen_layers: How many of the image backbone's last blocks train, >= 0.
        projection_width: Size that each embedding is projected to, >= 1.
        hidden_width: Size of the classifier's hidden layer, >= 1.
        head_dropout: Drop probability in the classifier, in [0, 1).
        normalize: Whether projected embeddings are scaled to unit L2 norm.
    """

    text_pooling: Pooling = "mean"
    text_unfrozen_layers: int = 2
    image_unfrozen_layers: int = 2
    projection_width: int = 256
    hidden_width: int = 512
    head_dropout: float = 0.3
    normalize: bool = False

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the values.

        Yields:
            One sentence per value out of its range.
        """
        yield from super().faults()
        if self.text_pooling not in {"cls", "mean"}:
            yield f"text_pooling must be cls or mean, got {self.text_pooling!r}"
        for name in ("text_unfrozen_layers", "image_unfrozen_layers"):
            if getattr(self, name) < 0:
                yield f"{name} must be >= 0, got {getattr(self, name)}"
        for name in ("projection_width", "hidden_width"):
            if getattr(self, name) < 1:
                yield f"{name} must be >= 1, got {getattr(self, name)}"
        if not 0 <= self.head_dropout < 1:
            yield f"head_dropout must be in [0, 1), got {self.head_dropout}"


def load_towers(backbones: Mapping[str, str]) -> dict[str, Tower]:
    """Load the two towers.

    Args:
        backbones: The weights of `text` and `image`.

    Returns:
        The towers, by role.
    """
    from trainables.modules import pretrained  # noqa: PLC0415 - keeps torch out of the driver

    return {
        "text": pretrained.load_text_tower(backbones["text"]),
        "image": pretrained.load_image_tower(backbones["image"]),
    }


def cut_towers(config: EarlyFusionConfig) -> dict[str, Cut]:
    """Say where a config cuts the towers.

    Args:
        config: The trial's hyperparameters.

    Returns:
        The cuts, by role.
    """
    return {
        "text": Cut(config.text_unfrozen_layers, config.text_pooling),
        "image": Cut(config.image_unfrozen_layers),
    }


def build_early_fusion(config: EarlyFusionConfig, towers: Mapping[str, Tower]) -> Classifier:
    """Build the classifier, with pretrained suffixes and a head that starts random.

    Args:
        config: The trial's hyperparameters.
        towers: The towers, by role.

    Returns:
        The classifier, on the CPU.
    """
    from trainables.modules.classifier import Classifier  # noqa: PLC0415 - keeps torch out
    from trainables.modules.heads import EarlyFusionHead  # noqa: PLC0415 - of the driver

    cuts = cut_towers(config)
    head = EarlyFusionHead(
        {role: tower.width for role, tower in towers.items()},
        config.projection_width,
        config.hidden_width,
        len(Sentiment),
        config.head_dropout,
        normalize=config.normalize,
    )
    return Classifier({role: towers[role].suffix(cut) for role, cut in cuts.items()}, head)


EARLY_FUSION = Variant(
    name="early_fusion",
    config=EarlyFusionConfig,
    backbones={"text": "google-bert/bert-base-uncased", "image": "resnet18"},
    hand_tuned=EarlyFusionConfig(),
    load=load_towers,
    cuts=cut_towers,
    build=build_early_fusion,
)
