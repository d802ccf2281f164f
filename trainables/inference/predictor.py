"""A trained model on disk, and what it says of new pairs.

A model folder holds everything: each tower in its library's own format, the trained classifier,
and a config. No path in it points out of it, so it predicts the same wherever it is copied.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainables.activations.raw import LivePrefix, raw_inputs
from trainables.config import ROLES, ConfigError, InputSettings
from trainables.data.sample import TAGS, Sample, Sentiment
from trainables.inference.about import CLASSIFIER, CONFIG, FORMAT, ModelError, read_about
from trainables.training.decision import decide
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.config import Modality, TrainConfig
    from trainables.modules.classifier import Classifier
    from trainables.modules.tower import Tower
    from trainables.variants.variant import Variant

_ROWS = 32


class Prediction(NamedTuple):
    """What a model says of one pair.

    Attributes:
        guid: The sample's name.
        probabilities: Of each class, in the order of `Sentiment`; they sum to 1.
        tag: The decided class.
    """

    guid: str
    probabilities: tuple[float, ...]
    tag: str


def save_model(
    folder: Path,
    variant: Variant[Any],
    config: TrainConfig,
    inputs: InputSettings,
    model: tuple[Classifier, Mapping[str, Tower]],
) -> None:
    """Write a trained model.

    Args:
        folder: Where to; made when missing.
        variant: What kind of model it is.
        config: Its hyperparameters.
        inputs: How its inputs are prepared.
        model: The trained classifier and the towers whose prefixes feed it.
    """
    classifier, towers = model
    backbones = {tower.backbone: tower for tower in towers.values()}  # one may hold both towers
    for name, tower in backbones.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        tower.save(folder / name)
    state = {name: value.cpu().contiguous() for name, value in classifier.state_dict().items()}
    save_file(state, folder / CLASSIFIER)
    about = {
        "format": FORMAT,
        "variant": variant.name,
        "modality": next(name for name, roles in ROLES.items() if {*roles} == towers.keys()),
        "classes": TAGS,
        "config": asdict(config),
        "inputs": asdict(inputs),
        "random_backbones": [name for name, tower in backbones.items() if tower.is_random],
    }
    (folder / CONFIG).write_text(json.dumps(about, indent=2) + "\n")


class Predictor:
    """Classify pairs with a trained model.

    Args:
        folder: A model folder.
        device: Where to compute; None takes a GPU if there is one.

    Attributes:
        modality: What it reads of a pair.
        random_backbones: Those whose pretrained weights were random: the model is a demonstration.

    Raises:
        ModelError: If the folder holds no model that can be loaded.
    """

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        about = read_about(folder)
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._variant = VARIANTS[about["variant"]]
        self.modality: Modality = about["modality"]
        self.random_backbones: list[str] = about["random_backbones"]
        try:
            self._load(folder, about)
        except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            msg = f"model folder {folder} cannot be loaded: {error}"
            raise ModelError(msg) from error

    def _load(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._config = self._variant.config.from_params(about["config"])
        self._inputs = InputSettings(**about["inputs"])
        if faults := list(self._inputs.faults()):
            raise ConfigError("\n".join(faults))
        names = self._variant.backbones_for(self.modality)
        self._towers = self._variant.load(
            {name: str(folder / name) for name in names}, ROLES[self.modality]
        )
        self._classifier = self._variant.build(self._config, self._towers)
        self._classifier.load_state_dict(load_file(folder / CLASSIFIER))
        self._classifier.to(self._device).eval()

    def probabilities(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """Compute class probabilities.

        Args:
            samples: The pairs; their labels are not looked at.

        Returns:
            Probabilities, shape (N, C), float32.
        """
        if not samples:
            return np.empty((0, len(Sentiment)), np.float32)
        sources = {
            role: LivePrefix(
                raw_inputs(samples, self._inputs, self._towers[role]),
                self._towers[role].prefix(cut),
                self._device,
            )
            for role, cut in self._variant.cuts(self._config, self.modality).items()
        }
        parts = []
        with torch.inference_mode():
            for rows in torch.arange(len(samples)).split(_ROWS):
                batch = {role: source.gather(rows) for role, source in sources.items()}
                parts.append(F.softmax(self._classifier(batch).float(), dim=-1).cpu())
        return torch.cat(parts).numpy()

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Classify pairs.

        Args:
            samples: The pairs; their labels are not looked at.

        Returns:
            One prediction per pair, in their order.
        """
        probabilities = self.probabilities(samples)
        return as_predictions(samples, probabilities, self._config.neutral_threshold)


def as_predictions(
    samples: Sequence[Sample], probabilities: NDArray[Any], neutral_threshold: float
) -> list[Prediction]:
    """Decide on the class of each sample.

    Args:
        samples: N pairs.
        probabilities: Their class probabilities, shape (N, C).
        neutral_threshold: The decision rule's, in [0, 1].

    Returns:
        One prediction per pair, in their order.
    """
    decided = decide(probabilities, neutral_threshold)
    return [
        Prediction(sample.guid, tuple(map(float, row)), Sentiment(label).tag)
        for sample, row, label in zip(samples, probabilities, decided, strict=True)
    ]
