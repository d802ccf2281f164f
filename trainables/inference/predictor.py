"""Predict with a trained model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from trainables.config import ConfigError, InputSettings
from trainables.data.files import read_beginning
from trainables.evaluation.decision import DecisionRule, Precision
from trainables.inference.about import (
    CONFIG,
    DIGESTS,
    ModelError,
    classes_in,
    classifier_file,
    members_in,
    read_about,
)
from trainables.inference.integrity import changed_files
from trainables.inference.model_folder import Member
from trainables.inference.shared_readings import MemberReads, SharedReadings
from trainables.modules.backbones.cross_attention import PAIR
from trainables.modules.backbones.saving import not_finite
from trainables.modules.blocks.piece import computing_in
from trainables.modules.blocks.precision import autocast
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.config import Modality
    from trainables.data.sample import Sample
    from trainables.inference.about import MemberEntry
    from trainables.inference.export.graph import ProbabilityGraph
    from trainables.inference.grad_cam import Explainer
    from trainables.variants.lazy_towers import LazyTowers

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
        probabilities: Calibrated class probabilities, in the order of `Predictor.classes`.
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
        classes: What it tells apart.
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
        self.modality: Modality = about["modality"]
        self.classes = classes_in(about)
        self.random_backbones: list[str] = about["random_backbones"]
        try:
            self._load(folder, about)
        except _UNLOADABLE as error:
            words = " ".join(str(error).split())
            msg = f"model folder {folder} cannot be loaded: {words}"
            raise ModelError(msg) from error

    def _load(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.inputs = _checked(about["inputs"])
        self.rule = DecisionRule(**about["decision"], classes=self.classes)
        if not {self.rule.precision, self.rule.frozen_precision} <= {*get_args(Precision)}:
            msg = f"{CONFIG} must have a precision among {', '.join(get_args(Precision))}"
            raise ModelError(msg)
        entries = members_in(about)
        self._precisions = [entry.precision for entry in entries]
        variants = [VARIANTS[entry.variant] for entry in entries]
        configs = [v.config.from_params(e.config) for v, e in zip(variants, entries, strict=True)]
        towers = _load_towers(folder, entries, configs, self.modality)
        self._members: list[Member] = []
        self._reads: list[MemberReads] = []
        for number, (entry, variant, config) in enumerate(
            zip(entries, variants, configs, strict=True), 1
        ):
            own = towers[_shared(entry)]
            classifier = variant.build(config, own, entry.kind, len(self.classes))
            classifier.load_state_dict(_read_state(folder, number))
            classifier = classifier.to(self._device).eval()
            self._members.append(Member(config, classifier, entry.weight, entry.kind))
            readings = variant.readings(config, self.modality)
            views = variant.views(config, self.modality)
            self._reads.append(MemberReads(own, _checked(entry.inputs), readings, views))
        self._shared = SharedReadings(self._reads, self._device)

    def probabilities(
        self, samples: Sequence[Sample], precision: Precision | None = None
    ) -> NDArray[Any]:
        """Compute uncalibrated class probabilities, on which decisions are made.

        Args:
            samples: N samples.
            precision: What to compute in, frozen parts too; None for what each member was
                trained in.

        Returns:
            The mean probabilities over members, shape (N, C), float32.

        Raises:
            ModelError: If one is not finite.
        """
        if not samples:
            return np.empty((0, len(self.classes)), np.float32)
        total = sum(member.weight for member in self._members)
        mean = np.zeros((len(samples), len(self.classes)), np.float64)
        pieces = self._shared.pieces if precision else ()
        with torch.inference_mode(), computing_in(precision or "float32", pieces):
            for rows, batches in self._shared.batches(samples):
                for member, batch, own in zip(
                    self._members, batches, self._precisions, strict=True
                ):
                    with autocast(self._device, precision or own):
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

        return ProbabilityGraph(self._shared, self._members, self.rule.temperature)

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

        apart = [k for k, reads in enumerate(self._reads) if PAIR not in reads.readings]
        if not apart:
            msg = "a model whose text reads its image (fusion=cross) cannot be explained by parts"
            raise ModelError(msg)
        members = self._members
        best = max(apart, key=lambda k: (members[k].kind == "trained", members[k].weight))
        towers, inputs, readings, _ = self._reads[best]
        return Explainer(towers, readings, members[best].classifier, inputs, self._device)

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Classify pairs, in their order; their labels are ignored."""
        probabilities = self.probabilities(samples)
        return as_predictions(samples, probabilities, self.rule)


def _load_towers(
    folder: Path, entries: Sequence[MemberEntry], configs: Sequence[Any], modality: Modality
) -> dict[tuple[str, ...], LazyTowers]:
    """Return the towers that members read, which those of the same backbones share."""
    names: dict[tuple[str, ...], dict[str, None]] = {}
    loads = {}
    for entry, config in zip(entries, configs, strict=True):
        variant = VARIANTS[entry.variant]
        read = variant.backbones_read([config], modality)
        names.setdefault(_shared(entry), {}).update(dict.fromkeys(read))
        loads[_shared(entry)] = partial(
            variant.load_towers, modality=modality, frozen_precision=entry.frozen_precision
        )
    return {
        shared: loads[shared]({name: str(folder / name) for name in read})
        for shared, read in names.items()
    }


def _shared(entry: MemberEntry) -> tuple[str, ...]:
    """Return what members that share their towers have in common."""
    return (*VARIANTS[entry.variant].backbones, entry.frozen_precision)


def _read_state(folder: Path, number: int) -> dict[str, torch.Tensor]:
    """Read the weights of a member, counted from 1."""
    path = folder / classifier_file(number)
    read_beginning(path, _POINTER)  # raises for Git LFS pointers
    state: dict[str, torch.Tensor] = load_file(path)
    if name := not_finite(state):
        msg = f"{path.name} holds NaN or infinity, in {name}"
        raise ModelError(msg)
    return state


def _checked(fields: Mapping[str, Any]) -> InputSettings:
    inputs = InputSettings(**fields)
    if faults := list(inputs.faults()):
        raise ConfigError("\n".join(faults))
    return inputs


def as_predictions(
    samples: Sequence[Sample], probabilities: NDArray[Any], rule: DecisionRule
) -> list[Prediction]:
    """Decide on the class of each sample, from uncalibrated probabilities (N, C)."""
    decided, shown = rule.decide(probabilities), rule.calibrate(probabilities)
    return [
        Prediction(sample.guid, tuple(map(float, row)), rule.classes.names[label])
        for sample, row, label in zip(samples, shown, decided, strict=True)
    ]
