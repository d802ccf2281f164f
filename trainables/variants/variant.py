"""What makes a variant: its name, hyperparameters, backbones and how its model is built.

Nothing here imports torch at the top: the driver of a search reads these tables and stays light.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from trainables.config import InputSettings, TrainConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.modules.classifier import Classifier
    from trainables.modules.cut import Cut
    from trainables.modules.tower import Tower

ConfigT = TypeVar("ConfigT", bound=TrainConfig)


@dataclass(frozen=True, kw_only=True)
class Variant(Generic[ConfigT]):
    """One way to classify an image-text pair.

    Attributes:
        name: The name on the command line and in results; of the modules that define it.
        config: The type of its hyperparameters.
        backbones: Where pretrained weights come from by default: of each role, or of a checkpoint
            that holds the towers of both, such as `clip`.
        hand_tuned: The config a search tries first.
        load: Loads the towers, by role (`text`, `image`), from the weights of each backbone.
        cuts: Where a config cuts each tower.
        build: Makes the trainable classifier from its config and towers.
        inputs: Preprocessing it was designed for.
    """

    name: str
    config: type[ConfigT]
    backbones: Mapping[str, str]
    hand_tuned: ConfigT
    load: Callable[[Mapping[str, str]], Mapping[str, Tower]]
    cuts: Callable[[ConfigT], Mapping[str, Cut]]
    build: Callable[[ConfigT, Mapping[str, Tower]], Classifier]
    inputs: InputSettings = field(default_factory=InputSettings)
