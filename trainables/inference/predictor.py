"""Predict with a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from trainables.config import ConfigError, InputSettings
from trainables.data.files import read_beginning
from trainables.evaluation.classes import Sentiment
from trainables.evaluation.decision import DecisionRule, Precision
from trainables.inference.about import (
    CONFIG,
    DIGESTS,
    ModelError,
    classifier_file,
    read_about,
)
from trainables.inference.integrity import changed_files
from trainables.inference.model_folder import Member
from trainables.inference.shared_readings import SharedReadings
from trainables.modules.backbones.cross_attention import PAIR
from trainables.modules.backbones.saving import not_finite
from trainables.training.precision import autocast
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.config import Modality
    from trainables.data.sample import Sample
    from trainables.inference.export.graph import ProbabilityGraph
    from trainables.inference.grad_cam import Explainer
    from trainables.variants.reading import Reading

_POINTER = 64  # bytes
# What libraries raise for damaged or foreign files.
_UNLOADABLE = (
    *(OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError),
    SafetensorError,
)


class Prediction(NamedTuple):
    """A model's prediction for one pair.

    Attributes:
        guid: The sample's name.
        probabilities: Calibrated class probabilities, in the order of `Sentiment`.
        tag: The decided class.
    """

    guid: str
    probabilities: tuple[float, ...]
    tag: str


class Predictor:
    """Classify pairs with a trained model.

    Args:
        folder: A model folder.
        device: Where to compute; None uses a GPU if there is one.

    Attributes:
        modality: What it reads of a pair.
        inputs: How a pair is preprocessed.
        random_backbones: Backbones that had random instead of pretrained weights; the model is
            then only a demonstration.

    Raises:
        ModelError: If the folder does not contain a model that can be loaded.
    """

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        about = read_about(folder)
        if changed := changed_files(folder, about):
            msg = (
                f"model folder {folder} is not as it was written: {', '.join(changed)}; copy it"
                f" anew, or take {DIGESTS} out of its {CONFIG} if the change was meant"
            )
            raise ModelError(msg)
        self._folder = folder
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._variant = VARIANTS[about["variant"]]
        self.modality: Modality = about["modality"]
        self.random_backbones: list[str] = about["random_backbones"]
        try:
            self._load(folder, about)
        except _UNLOADABLE as error:
            words = " ".join(str(error).split())
            msg = f"model folder {folder} cannot be loaded: {words}"
            raise ModelError(msg) from error

    def _load(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.inputs = InputSettings(**about["inputs"])
        if faults := list(self.inputs.faults()):
            raise ConfigError("\n".join(faults))
        self.rule = DecisionRule(**about["decision"])
        if self.rule.precision not in get_args(Precision):
            msg = f"{CONFIG} must have a precision among {', '.join(get_args(Precision))}"
            raise ModelError(msg)
        configs = [self._variant.config.from_params(m["config"]) for m in about["members"]]
        names = self._variant.backbones_read(configs, self.modality)
        weights = {name: str(folder / name) for name in names}
        self._towers = self._variant.load_towers(weights, self.modality)
        self._members = []
        for number, (config, entry) in enumerate(zip(configs, about["members"], strict=True), 1):
            kind = entry.get("kind", "trained")  # absent in models of earlier versions
            classifier = self._variant.build(config, self._towers, kind)
            read_beginning(
                folder / classifier_file(number), _POINTER
            )  # raises for Git LFS pointers
            state = load_file(folder / classifier_file(number))
            if name := not_finite(state):
                msg = f"{classifier_file(number)} holds NaN or infinity, in {name}"
                raise ModelError(msg)
            classifier.load_state_dict(state)
            classifier = classifier.to(self._device).eval()
            self._members.append(Member(config, classifier, float(entry["weight"]), kind))
        self._reads = SharedReadings(
            self._towers,
            self.inputs,
            [self._readings(member) for member in self._members],
            [self._variant.views(member.config, self.modality) for member in self._members],
            self._device,
        )

    def probabilities(
        self, samples: Sequence[Sample], precision: Precision | None = None
    ) -> NDArray[Any]:
        """Compute uncalibrated class probabilities, on which decisions are made.

        Args:
            samples: N samples.
            precision: What to compute in; None for that in which the model decides.

        Returns:
            The mean probabilities over members, shape (N, C), float32.

        Raises:
            ModelError: If one is not finite.
        """
        if not samples:
            return np.empty((0, len(Sentiment)), np.float32)
        total = sum(member.weight for member in self._members)
        mean = np.zeros((len(samples), len(Sentiment)), np.float64)
        with torch.inference_mode():
            for rows, batches in self._reads.batches(samples):
                for member, batch in zip(self._members, batches, strict=True):
                    with autocast(self._device, precision or self.rule.precision):
                        logits = member.classifier(batch)
                    output = F.softmax(logits, dim=-1).cpu().numpy()
                    mean[rows.numpy()] += member.weight / total * output
        if not (finite := np.isfinite(mean).all(axis=1)).all():
            guid = samples[int(np.flatnonzero(~finite)[0])].guid
            msg = (
                f"model folder {self._folder} gives probabilities that are not finite for"
                f" {(~finite).sum()} of {len(samples)} samples, such as {guid}: its weights are"
                " damaged"
            )
            raise ModelError(msg)
        return mean.astype(np.float32)

    def graph(self) -> ProbabilityGraph:
        """Return the model as one module on raw inputs; it shares the weights."""
        from trainables.inference.export.graph import ProbabilityGraph  # noqa: PLC0415 - rarely used

        return ProbabilityGraph(self._reads, self._members, self.rule.temperature)

    def explainer(self) -> Explainer:
        """Make an explainer of one member; needs the extra `explain`.

        Returns:
            The explainer, of the trained member with the largest weight; of the largest
            regression where none was trained.

        Raises:
            ModelError: If in every member the text attends to the image, so that they cannot be
                attributed separately.
        """
        from trainables.inference.grad_cam import Explainer  # noqa: PLC0415 - an extra

        apart = [one for one in self._members if PAIR not in self._readings(one)]
        if not apart:
            msg = "a model whose text reads its image (fusion=cross) cannot be explained by parts"
            raise ModelError(msg)
        member = max(apart, key=lambda one: (one.kind == "trained", one.weight))
        readings = self._readings(member)
        return Explainer(self._towers, readings, member.classifier, self.inputs, self._device)

    def _readings(self, member: Member) -> dict[str, Reading]:
        return self._variant.readings(member.config, self.modality)

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Classify pairs, in their order; their labels are ignored."""
        probabilities = self.probabilities(samples)
        return as_predictions(samples, probabilities, self.rule)


def as_predictions(
    samples: Sequence[Sample], probabilities: NDArray[Any], rule: DecisionRule
) -> list[Prediction]:
    """Decide on the class of each sample, from uncalibrated probabilities (N, C)."""
    decided, shown = rule.decide(probabilities), rule.calibrate(probabilities)
    return [
        Prediction(sample.guid, tuple(map(float, row)), Sentiment(label).tag)
        for sample, row, label in zip(samples, shown, decided, strict=True)
    ]
