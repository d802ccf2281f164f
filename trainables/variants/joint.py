"""The variants on one checkpoint with two towers that embed into one space: CLIP and BLIP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from trainables.hyperparameter import Choices, FloatRange, IntRange, hyperparameter
from trainables.modules.blocks.slots import slot_of
from trainables.variants.towers import TowersConfig
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainables.config import InputSettings, Role
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Cut
    from trainables.modules.heads.fusion import Fusion
    from trainables.modules.heads.head import Head

_SOURCE = (
    "The source, where there are several; or two, as `A+B`, whose embeddings of each role stand "
    "side by side."
)


@dataclass(frozen=True, kw_only=True)
class JointConfig(TowersConfig):
    """Hyperparameters of a classifier on the two towers of one checkpoint, named `checkpoint`."""

    fusions: ClassVar[tuple[str, ...]] = ("add", "concat")
    checkpoint: ClassVar[str]

    fusion: Fusion = hyperparameter(
        "add",
        Choices("add", "concat"),
        doc="`add` sums the two embeddings, `concat` lays them end to end.",
    )
    normalize: bool = hyperparameter(
        False,
        Choices(False, True),
        doc="Whether embeddings are scaled to unit L2 norm before they are fused.",
    )
    hidden_width: int = hyperparameter(256, Choices(64, 128, 256, 512))
    head_dropout: float = hyperparameter(0.5, FloatRange(0.1, 0.6))
    block_dropout: float = hyperparameter(0.0, FloatRange(0.0, 0.5))
    text_unfrozen_layers: int = hyperparameter(2, IntRange(0, 2))
    image_unfrozen_layers: int = hyperparameter(2, IntRange(0, 2))

    def source_field(self, role: Role) -> str:  # noqa: ARG002 - one checkpoint holds both
        """Return the name of the field that names the sources of the towers."""
        return f"{self.checkpoint}_backbone"

    def faults(self) -> Iterator[str]:
        """Yield one sentence per value out of its range."""
        yield from super().faults()
        if self.fusion not in self.fusions:
            *others, last = self.fusions
            yield f"fusion must be {', '.join(others)} or {last}, got {self.fusion!r}"


@dataclass(frozen=True, kw_only=True)
class ClipFusionConfig(JointConfig):
    """Hyperparameters of a classifier on CLIP's towers."""

    checkpoint: ClassVar[str] = "clip"

    clip_backbone: str = hyperparameter("", doc=_SOURCE)


@dataclass(frozen=True, kw_only=True)
class BlipFusionConfig(JointConfig):
    """Hyperparameters of a classifier on BLIP's towers, whose text can attend to its image.

    With `fusion` `cross` every block of the text tower attends to the image's tokens, by the
    cross-attention that it was pretrained with, and the text alone is classified. While no image
    layer is unfrozen, all frozen layers are cached as usual. With unfrozen image layers the text
    tower's frozen blocks must run in every step, as their inputs change.
    """

    fusions: ClassVar[tuple[str, ...]] = ("add", "concat", "cross")
    checkpoint: ClassVar[str] = "blip"

    blip_backbone: str = hyperparameter("", doc=_SOURCE)

    def cuts(self) -> dict[str, Cut]:
        """Return the cut of each tower, by slot."""
        if self.fusion != "cross":
            return super().cuts()
        cuts: dict[str, Cut] = {}
        for place in range(len(self.sources("pair"))):
            image = self._cut(slot_of("image", place))
            text = self._cut(slot_of("text", place))
            live = image.unfrozen_layers > 0
            if live or text.unfrozen_layers:  # else the image has been read already
                cuts[slot_of("image", place)] = replace(image, pooling="tokens")
            cuts[slot_of("pair", place)] = replace(text, live=live)
        return cuts


def joint_variant(
    name: str,
    source: tuple[str, str],
    config: type[JointConfig],
    inputs: InputSettings,
    folds: int = 1,
) -> Variant[JointConfig]:
    """Make a variant on one checkpoint; `source` is its name and the default for its weights."""
    return Variant(
        name=name,
        config=config,
        backbones=dict([source]),
        load=load_joint,
        head=joint_head,
        fusing=frozenset({"fusion"}),
        folds=folds,
        inputs=inputs,
    )


def load_joint(backbones: Mapping[str, str], roles: Sequence[Role]) -> dict[str, Tower]:
    """Load the towers of some roles from the checkpoint of `clip` or `blip`."""
    from trainables.modules.backbones.blip import load_blip_towers  # noqa: PLC0415 - keeps torch out
    from trainables.modules.backbones.clip import load_clip_towers  # noqa: PLC0415 - of the driver

    loaders = {"clip": load_clip_towers, "blip": load_blip_towers}
    ((name, source),) = backbones.items()
    return loaders[name](source, roles)


def joint_head(config: JointConfig, widths: Mapping[str, int], classes: int) -> Head:
    """Make the head; `widths` is the size of each role's embedding."""
    from trainables.modules.heads.fusion import JointHead  # noqa: PLC0415 - keeps torch out

    if config.fusion == "cross":
        widths = {name: width for name, width in widths.items() if name != "image"}
    return JointHead(
        widths,
        config.hidden_width,
        classes,
        config.head_dropout,
        fusion=config.fusion,
        normalize=config.normalize,
    )
