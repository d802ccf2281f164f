"""A variant: its name, hyperparameters, backbones and how its model is built.

Nothing here imports torch at the top: the driver of a search reads these tables and stays light.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from trainables.config import ROLES, ConfigError, InputSettings
from trainables.data.views import VIEWS
from trainables.evaluation.classes import SENTIMENTS
from trainables.modules.blocks.slots import role_of, summed_by_role
from trainables.variants.lazy_towers import LazyTowers, holds, modality_of
from trainables.variants.reading import Reading
from trainables.variants.towers import TowersConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from trainables.config import Modality, Role
    from trainables.evaluation.decision import Precision
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Cut
    from trainables.modules.heads.classifier import Classifier
    from trainables.modules.heads.head import Head
    from trainables.modules.heads.views import ViewConcatenation, ViewProjection

ConfigT = TypeVar("ConfigT", bound=TowersConfig)

MemberKind = Literal["trained", "regression"]
"""How a classifier came about: trained by gradient descent, or fitted on frozen embeddings."""


@dataclass(frozen=True, kw_only=True)
class Variant(Generic[ConfigT]):
    """One way to classify an image-text pair.

    Attributes:
        name: The name on the command line and in results, and of the modules that define it.
        config: The type of its hyperparameters; its defaults are the hand-tuned values.
        backbones: Where pretrained weights come from by default: of each role, or of a checkpoint
            that holds the towers of both, such as `clip`.
        load: Loads the towers of some roles from the weights of each backbone.
        head: Makes the head from its config, the size of each role's embedding, and the number of
            classes.
        fusing: Hyperparameters that only matter where both modalities are read.
        counts_unused: Whether its total counts what a backbone holds but never runs, such as the
            classifier of a ResNet, as the lab's late fusion does.
        folds: The default number of folds; 1 is one split.
        inputs: Preprocessing it was designed for.
    """

    name: str
    config: type[ConfigT]
    backbones: Mapping[str, str]
    load: Callable[[Mapping[str, str], Sequence[Role]], Mapping[str, Tower]]
    head: Callable[[ConfigT, Mapping[str, int], int], Head]
    fusing: frozenset[str] = frozenset()
    counts_unused: bool = False
    folds: int = 1
    inputs: InputSettings = field(default_factory=InputSettings)

    @property
    def hand_tuned(self) -> ConfigT:
        """The config that a search tries first."""
        return self.config()

    def readings(self, config: ConfigT, modality: Modality = "both") -> dict[str, Reading]:
        """Return how a config reads the towers, by slot."""
        return {
            slot: Reading(config.tower(slot), cut, config.prepared(role_of(slot)))
            for slot, cut in config.cuts().items()
            if modality == "both" or role_of(slot) in ROLES[modality]
        }

    def backbones_read(self, configs: Sequence[ConfigT], modality: Modality) -> list[str]:
        """Return the backbones that some configs read.

        Returns:
            Names as in `backbones`, with `/SOURCE` where there are several sources.
        """
        names: dict[str, None] = {}
        for config in configs:
            for reading in self.readings(config, modality).values():
                role, slash, source = reading.tower.partition("/")
                names |= {f"{b}{slash}{source}": None for b in self.backbones if holds(b, role)}
        return list(names)

    def load_towers(
        self,
        backbones: Mapping[str, str],
        modality: Modality,
        frozen_precision: Precision = "float32",
    ) -> LazyTowers:
        """Return the towers by name, each of which is loaded when it is first used."""
        return LazyTowers(self.load, backbones, ROLES[modality], frozen_precision)

    def views(self, config: ConfigT, modality: Modality = "both") -> tuple[str, ...]:
        """Return the names of the views that a config reads, keys of `VIEWS`."""
        there = (view for view in VIEWS.values() if view.reads in ROLES[modality])
        return tuple(view.name for view in there if getattr(config, view.name))

    def frozen(self, params: Mapping[str, Any]) -> ConfigT:
        """Return the hand-tuned config, changed by `params`, with all towers frozen entirely."""
        hand_tuned = asdict(self.hand_tuned)
        frozen = {name: 0 for name in hand_tuned if name.endswith("_unfrozen_layers")}
        return self.config.from_params(hand_tuned | dict(params) | frozen)

    def build(
        self,
        config: ConfigT,
        towers: Mapping[str, Tower],
        kind: MemberKind = "trained",
        classes: int = len(SENTIMENTS),
    ) -> Classifier:
        """Build the classifier on the CPU: pretrained suffixes, and a head that starts random.

        Args:
            config: The trial's hyperparameters.
            towers: The towers, by name; a role that has none is not part of the classifier.
            kind: `trained`; or `regression`, which is linear in the pooled output of each tower,
                before any projection, and in the features of views.
            classes: Number of classes, C.

        Returns:
            The classifier.

        Raises:
            ConfigError: If a regression is to read a tower that is not frozen whole.
        """
        from trainables.modules.backbones import cross_attention  # noqa: PLC0415 - keeps torch out
        from trainables.modules.heads.classifier import Classifier  # noqa: PLC0415 - keeps torch out

        readings = self.readings(config, modality_of(towers))
        parts = {
            slot: (cross_attention.tower_for(read.tower, towers), read.cut)
            for slot, read in readings.items()
        }
        pieces = self._linear if kind == "regression" else self._trainable
        names = self.views(config, modality_of(towers))
        suffixes, head, views = pieces(config, parts, names, classes)
        read = [
            part for read in readings.values() for part in cross_attention.parts_of(read.tower)
        ]
        return Classifier(suffixes, head, list(dict.fromkeys(read)), views)

    def _trainable(
        self,
        config: ConfigT,
        parts: Mapping[str, tuple[Tower, Cut]],
        names: Sequence[str],
        classes: int,
    ) -> tuple[dict[str, nn.Module], Head, ViewProjection | None]:
        from trainables.modules.heads.views import (  # noqa: PLC0415 - keeps torch out
            PROJECTION_WIDTH,
            VIEW,
            ViewProjection,
        )

        widths = {slot: tower.width_at(cut) for slot, (tower, cut) in parts.items()}
        viewed = {VIEW: PROJECTION_WIDTH} if names else {}
        head = self.head(config, summed_by_role(widths) | viewed, classes)
        dropout = config.block_dropout
        suffixes = {slot: tower.suffix(cut, dropout) for slot, (tower, cut) in parts.items()}
        views = {name: VIEWS[name].width for name in names}
        return suffixes, head, ViewProjection(views) if views else None

    def _linear(
        self,
        _: ConfigT,
        parts: Mapping[str, tuple[Tower, Cut]],
        names: Sequence[str],
        classes: int,
    ) -> tuple[dict[str, nn.Module], Head, ViewConcatenation | None]:
        from trainables.modules.blocks.piece import PassPooled  # noqa: PLC0415 - keeps torch out
        from trainables.modules.heads.linear import LinearHead  # noqa: PLC0415 - likewise
        from trainables.modules.heads.views import VIEW, ViewConcatenation  # noqa: PLC0415 - likewise

        if unfrozen := {slot: cut for slot, (_, cut) in parts.items() if cut.unfrozen_layers}:
            depths = ", ".join(f"{slot} {cut.unfrozen_layers}" for slot, cut in unfrozen.items())
            msg = f"a regression must read towers without unfrozen layers, got {depths}"
            raise ConfigError(msg)
        widths = {slot: tower.pooled_width(cut) for slot, (tower, cut) in parts.items()}
        viewed = {VIEW: sum(VIEWS[name].width for name in names)} if names else {}
        head = LinearHead(summed_by_role(widths) | viewed, classes)
        views = ViewConcatenation(names) if names else None
        return {slot: PassPooled() for slot in parts}, head, views

    def backbones_for(self, modality: Modality) -> dict[str, str]:
        """Return the default weights of the backbones that a modality needs, by name."""
        missing = _missing(modality)
        return {name: source for name, source in self.backbones.items() if name not in missing}

    def unread(self, modality: Modality) -> frozenset[str]:
        """Return the hyperparameters that are inactive in a modality.

        Returns:
            Those of the towers and views that are not read, and of the fusion.
        """
        if modality == "both":
            return frozenset()
        missing = _missing(modality)
        prefixes = tuple(f"{role}_" for role in missing)
        names = (each.name for each in fields(self.config))
        views = {view.name for view in VIEWS.values() if view.reads in missing}
        return self.fusing | views | {name for name in names if name.startswith(prefixes)}


def _missing(modality: Modality) -> set[Role]:
    return {*ROLES["both"]} - {*ROLES[modality]}
