"""What makes a variant: its name, hyperparameters, backbones and how its model is built.

Nothing here imports torch at the top: the driver of a search reads these tables and stays light.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Generic, TypeVar

from trainables.config import ROLES, InputSettings
from trainables.variants.towers import TowersConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from trainables.config import Modality, Role
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Cut
    from trainables.modules.heads.classifier import Classifier
    from trainables.modules.heads.head import Head

ConfigT = TypeVar("ConfigT", bound=TowersConfig)


@dataclass(frozen=True, kw_only=True)
class Variant(Generic[ConfigT]):
    """One way to classify an image-text pair.

    Attributes:
        name: The name on the command line and in results; of the modules that define it.
        config: The type of its hyperparameters.
        backbones: Where pretrained weights come from by default: of each role, or of a checkpoint
            that holds the towers of both, such as `clip`.
        hand_tuned: The config a search tries first.
        load: Loads the towers of some roles from the weights of each backbone.
        head: Makes the head from its config and the size of each role's embedding.
        fusing: Hyperparameters that only matter where both modalities are read.
        counts_unused: Whether its total counts what a backbone holds but never runs, such as the
            classifier of a ResNet, as the lab's late fusion does.
        folds: How many it is trained in by default; 1 is one split.
        inputs: Preprocessing it was designed for.
    """

    name: str
    config: type[ConfigT]
    backbones: Mapping[str, str]
    hand_tuned: ConfigT
    load: Callable[[Mapping[str, str], Sequence[Role]], Mapping[str, Tower]]
    head: Callable[[ConfigT, Mapping[str, int]], Head]
    fusing: frozenset[str] = frozenset()
    counts_unused: bool = False
    folds: int = 1
    inputs: InputSettings = field(default_factory=InputSettings)

    def cuts(self, config: ConfigT, modality: Modality = "both") -> dict[Role, Cut]:
        """Say where a config cuts each tower.

        Args:
            config: The trial's hyperparameters.
            modality: What is read of a pair.

        Returns:
            The cuts, by role.
        """
        if modality == "both":
            return config.cuts()
        return {role: config.cuts()[role] for role in ROLES[modality]}

    def build(self, config: ConfigT, towers: Mapping[str, Tower]) -> Classifier:
        """Build the classifier: suffixes as pretrained, and a head that starts random.

        Args:
            config: The trial's hyperparameters.
            towers: The towers, by role; what has none is not part of the classifier.

        Returns:
            The classifier, on the CPU.
        """
        from trainables.modules.backbones.crossed import tower_for  # noqa: PLC0415 - of the driver
        from trainables.modules.heads.classifier import Classifier  # noqa: PLC0415 - keeps torch out

        modality = next(name for name, roles in ROLES.items() if {*roles} == {*towers})
        cuts = self.cuts(config, modality)
        parts = {role: tower_for(role, towers) for role in cuts}
        head = self.head(config, {role: part.width for role, part in parts.items()})
        dropout = config.block_dropout
        suffixes: dict[str, nn.Module] = {
            role: parts[role].suffix(cut, dropout) for role, cut in cuts.items()
        }
        return Classifier(suffixes, head)

    def backbones_for(self, modality: Modality) -> dict[str, str]:
        """Say which backbones are needed.

        Args:
            modality: What is read of a pair.

        Returns:
            Where their weights come from by default, by name.
        """
        missing = _missing(modality)
        return {name: source for name, source in self.backbones.items() if name not in missing}

    def unread(self, modality: Modality) -> frozenset[str]:
        """Say which hyperparameters have no say.

        Args:
            modality: What is read of a pair.

        Returns:
            Their names: those of the towers that are not there, and of the fusion.
        """
        if modality == "both":
            return frozenset()
        prefixes = tuple(f"{role}_" for role in _missing(modality))
        names = (each.name for each in fields(self.config))
        return self.fusing | {name for name in names if name.startswith(prefixes)}


def _missing(modality: Modality) -> set[Role]:
    return {*ROLES["both"]} - {*ROLES[modality]}
