"""What every variant on a text and an image tower shares: how deep each trains, and a head."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from trainables.config import (
    ROLES,
    ImagePreparation,
    InputSettings,
    TextCleaning,
    TrainConfig,
)
from trainables.hyperparameter import (
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    POSITIVE,
    Choices,
    IntRange,
    When,
    hyperparameter,
)
from trainables.modules.blocks.cut import POOLED_LAYERS, Cut, Layers, Pooling
from trainables.modules.blocks.slots import beside, is_second, role_of, slot_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from trainables.config import Role
    from trainables.modules.backbones.tower import Tower

AND = "+"
"""What stands between the names of two sources that are read together."""

# A name is also that of a folder, in a model.
_SOURCES = re.compile(r"([A-Za-z0-9][\w.-]*)(\+([A-Za-z0-9][\w.-]*))?")
_ROLES: tuple[Role, ...] = ROLES["both"]
# Text that reads its image is text by its hyperparameters.
_READS: Mapping[Role, Role] = {"text": "text", "image": "image", "pair": "text"}
_PREPARED: Mapping[Role, tuple[str, ...]] = {
    "text": ("text_cleaning",),
    "image": ("image_preparation",),
    "pair": ("text_cleaning", "image_preparation"),
}
_CHOICES: Mapping[str, Collection[str]] = {
    "text_cleaning": get_args(TextCleaning),
    "image_preparation": get_args(ImagePreparation),
}

# What sentence encoders and ImageNet classifiers were pretrained on: punctuation and whole tweets
# for one, the centre at a classifier's scale for the other.
PAIR_INPUTS = InputSettings(text_cleaning="minimal", text_length=64, image_preparation="imagenet")


@dataclass(frozen=True, kw_only=True)
class TowersConfig(TrainConfig):
    """Hyperparameters of a classifier on towers of two roles.

    Fields prefixed with the name of a role are inactive without that role, those of a second
    tower also where the role reads a single source.
    """

    hidden_width: int = hyperparameter(
        rule=AT_LEAST_1, doc="Size of the classifier's hidden layer."
    )
    head_dropout: float = hyperparameter(rule=BELOW_1, doc="Drop probability in the classifier.")
    block_dropout: float = hyperparameter(
        0.0, rule=BELOW_1, doc="Drop probability after each unfrozen transformer block."
    )
    text_unfrozen_layers: int = hyperparameter(
        rule=AT_LEAST_0, doc="How many of the text tower's last blocks train."
    )
    image_unfrozen_layers: int = hyperparameter(
        rule=AT_LEAST_0, doc="How many of the image tower's last blocks train."
    )
    text_second_unfrozen_layers: int = hyperparameter(
        0, rule=AT_LEAST_0, doc="How many of the second text tower's last blocks train."
    )
    image_second_unfrozen_layers: int = hyperparameter(
        0, rule=AT_LEAST_0, doc="How many of the second image tower's last blocks train."
    )
    text_second_learning_rate: float = hyperparameter(
        1e-4, rule=POSITIVE, doc="Peak AdamW learning rate of those of the second text tower."
    )
    image_second_learning_rate: float = hyperparameter(
        1e-4, rule=POSITIVE, doc="Peak AdamW learning rate of those of the second image tower."
    )
    text_cleaning: TextCleaning | Literal[""] = hyperparameter(
        "", doc="As in `InputSettings`; empty for that of the search."
    )
    image_preparation: ImagePreparation | Literal[""] = hyperparameter(
        "", doc="As in `InputSettings`; empty for that of the search."
    )
    lexicon: bool = hyperparameter(
        False,
        Choices(False, True),
        doc="Whether the head reads the view of that name, beside what the towers embed.",
    )

    def faults(self) -> Iterator[str]:
        """Yield one sentence per value out of its range."""
        yield from super().faults()
        yield from self._tower_faults()

    def _tower_faults(self) -> Iterator[str]:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in {"", *choices}:
                yield f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
        for name in dict.fromkeys(self.source_field(role) for role in _ROLES):
            value = getattr(self, name)
            match = _SOURCES.fullmatch(value)
            if value and (match is None or match[1] == match[3]):
                yield f"{name} must be the name of a source, or two as A{AND}B, got {value!r}"

    def source_field(self, role: Role) -> str:
        """Return the name of the field that names the sources of a role's towers."""
        return f"{role}_backbone"

    def sources(self, role: Role) -> tuple[str, ...]:
        """Return the one or two sources of a role's towers; an empty name for the only source."""
        named: str = getattr(self, self.source_field(role))
        return tuple(named.split(AND))

    def tower(self, slot: str) -> str:
        """Return the name of the tower in a slot: `ROLE`, or `ROLE/SOURCE` if one of several."""
        role = role_of(slot)
        source = self.sources(role)[is_second(slot)]
        return f"{role}/{source}" if source else role

    def prepared(self, role: Role) -> tuple[tuple[str, str], ...]:
        """Return the names and values of a role's input settings that differ from the search's."""
        values = ((name, getattr(self, name)) for name in _PREPARED[role])
        return tuple((name, value) for name, value in values if value)

    def rate_of(self, slot: str) -> float:
        """Return the peak learning rate of the unfrozen layers of the tower in a slot."""
        if not is_second(slot):
            return super().rate_of(slot)
        rate: float = getattr(self, f"{beside(slot, _READS[role_of(slot)])}_learning_rate")
        return rate

    def cuts(self) -> dict[str, Cut]:
        """Return the cut of each tower, by slot."""
        slots = (
            slot_of(role, place) for role in _ROLES for place in range(len(self.sources(role)))
        )
        return {slot: self._cut(slot) for slot in slots}

    def _cut(self, slot: str) -> Cut:
        return Cut(getattr(self, f"{slot}_unfrozen_layers"))


@dataclass(frozen=True, kw_only=True)
class PairConfig(TowersConfig):
    """Hyperparameters of a classifier on two towers that each have weights of their own."""

    text_backbone: str = hyperparameter(
        "",
        doc="The text's source, where there are several; or two, as `A+B`, whose embeddings stand "
        "side by side.",
    )
    image_backbone: str = hyperparameter(
        "", doc="The image's source, in the same way as the text's."
    )
    text_unfrozen_layers: int = hyperparameter(2, IntRange(0, 2))
    image_unfrozen_layers: int = hyperparameter(2, IntRange(0, 2))
    # A tower that is frozen whole keeps one vector per pair, so it may be read in several ways.
    text_cleaning: TextCleaning | Literal[""] = hyperparameter(
        "",
        Choices(PAIR_INPUTS.text_cleaning, "improved"),
        when=When("text_unfrozen_layers", 0),
    )
    image_preparation: ImagePreparation | Literal[""] = hyperparameter(
        "",
        Choices(PAIR_INPUTS.image_preparation, "basic"),
        when=When("image_unfrozen_layers", 0),
    )
    text_pooling: Pooling = hyperparameter(
        "mean", doc="`cls` reads the first token, `mean` averages all."
    )
    text_pooled_layers: Layers = hyperparameter(
        "last",
        Choices("last", "both"),
        when=When("text_unfrozen_layers", 0),
        doc="Which layers of a text tower that is frozen whole are pooled: `last`, `third_last`, "
        "`both` side by side, or the mean of the `last_four`.",
    )

    def faults(self) -> Iterator[str]:
        """Yield one sentence per value out of its range."""
        yield from super().faults()
        if self.text_pooling not in {"cls", "mean"}:
            yield f"text_pooling must be cls or mean, got {self.text_pooling!r}"
        if self.text_pooled_layers not in POOLED_LAYERS:
            able = ", ".join(POOLED_LAYERS)
            yield f"text_pooled_layers must be one of {able}, got {self.text_pooled_layers!r}"

    def _cut(self, slot: str) -> Cut:
        cut = super()._cut(slot)
        if role_of(slot) != "text":
            return cut
        layers: Layers = "last" if cut.unfrozen_layers else self.text_pooled_layers
        return replace(cut, pooling=self.text_pooling, layers=layers)


def sources_to_choose(backbones: Collection[str]) -> dict[str, list[str]]:
    """List the sources of each backbone that has several.

    Args:
        backbones: `ROLE`, or `ROLE/SOURCE` where there are several.

    Returns:
        The names of the sources, by the hyperparameter that chooses, such as `text_backbone`.
    """
    named: dict[str, list[str]] = {}
    for backbone in backbones:
        kind, slash, source = backbone.partition("/")
        if slash:
            named.setdefault(f"{kind}_backbone", []).append(source)
    return named


def load_pair(backbones: Mapping[str, str], roles: Sequence[Role]) -> dict[str, Tower]:
    """Load the towers of some roles, each from weights of its own."""
    from trainables.modules.backbones import pretrained  # noqa: PLC0415 - keeps torch out of the driver

    loaders = {"text": pretrained.load_text_tower, "image": pretrained.load_image_tower}
    return {role: loaders[role](backbones[role]) for role in roles if role in backbones}
