"""Hyperparameters of a trial and of its inputs: frozen, flat, checked before any work starts.

Nothing here imports torch: the driver of a search checks configs and stays light.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from trainables.hyperparameter import (
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Choices,
    FloatRange,
    When,
    hyperparameter,
    hyperparameters_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

TextCleaning = Literal["basic", "improved", "minimal"]
ImagePreparation = Literal["basic", "improved", "imagenet"]
Schedule = Literal["plateau", "cosine"]
Sampling = Literal["none", "weighted", "undersample"]
BranchFusion = Literal["weighted", "vote"]
Role = Literal["text", "image", "pair"]
Modality = Literal["both", "text", "image"]
Missing = Literal["refuse", "allow"]
CacheDtype = Literal["float16", "float32"]
Residence = Literal["auto", "device", "host"]

ROLES: Mapping[Modality, tuple[Role, ...]] = {
    "both": ("text", "image"),
    "text": ("text",),
    "image": ("image",),
}
"""What a classifier reads of a pair, by modality."""

_PLATEAU_PATIENCE = 3  # the lab's

# Beyond what any backbone reads; a slip of the finger must not fill a machine's memory.
_INPUT_BOUNDS = {"text_length": (4, 8192), "image_size": (32, 2048), "blur_radius": (0, 100)}


class ConfigError(ValueError):
    """Parameters do not make a valid config; the message lists every fault."""


def nearest(name: str, known: Collection[str]) -> str:
    """Return `did you mean 'x'?` for an unknown name, or the known names if none is near."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """How text and images become the inputs of a backbone; deterministic, so that it runs once.

    Attributes:
        text_cleaning: `basic` as the lab; `improved`, which keeps apostrophes (negations); or
            `minimal`, which keeps case, punctuation and emoticons: the text a sentence encoder
            was trained on.
        text_length: Most tokens kept of a text, special tokens included, >= 4.
        image_preparation: `basic` fits the whole image into a white square; `improved` crops
            its centre square; `imagenet` crops the centre as classifiers trained on ImageNet see
            it, 7/8 of the shorter side.
        image_size: Side of the square, in pixels, >= 32.
        blur_radius: Radius of the Gaussian blur, in pixels of the square, >= 0; 0 is none (the lab
            blurs by 0.5, which costs the frozen features a point of weighted F1).
        encoding: Of texts that are no UTF-8, by Python's name; None where it is not known.
        missing: Whether a pair may lack its text, which is then empty, or its image, which is then
            a square of the backbone's mean colour.
    """

    text_cleaning: TextCleaning = "improved"
    text_length: int = 32
    image_preparation: ImagePreparation = "improved"
    image_size: int = 224
    blur_radius: float = 0.0
    encoding: str | None = None
    missing: Missing = "refuse"

    def faults(self) -> Iterator[str]:
        """Yield one sentence per value out of its range."""
        if self.text_cleaning not in get_args(TextCleaning):
            yield _choice("text_cleaning", self.text_cleaning, get_args(TextCleaning))
        if self.image_preparation not in get_args(ImagePreparation):
            yield _choice("image_preparation", self.image_preparation, get_args(ImagePreparation))
        if self.missing not in get_args(Missing):
            yield _choice("missing", self.missing, get_args(Missing))
        for name, (low, high) in _INPUT_BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                rule = f"<= {high}" if value > high else f">= {low}"
                yield f"{name} must be {rule}, got {value}"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Optimiser, schedule, loss and decision of one trial.

    The defaults of a variant's config are its hand-tuned values, what a search tries first.
    """

    head_learning_rate: float = hyperparameter(
        1e-3,
        FloatRange(1e-4, 5e-3, log=True),
        rule=POSITIVE,
        doc="Peak AdamW learning rate of what starts random.",
    )
    backbone_learning_rate: float = hyperparameter(
        1e-4,
        FloatRange(1e-5, 3e-4, log=True),
        rule=POSITIVE,
        doc="Peak AdamW learning rate of unfrozen pretrained layers.",
    )
    weight_decay: float = hyperparameter(
        1e-2,
        FloatRange(1e-5, 1e-1, log=True),
        rule=NOT_NEGATIVE,
        doc="AdamW weight decay; norms and biases are exempt.",
    )
    schedule: Schedule = hyperparameter(
        "cosine",
        Choices("cosine", "plateau"),
        doc="`plateau` lowers the rates when the loss of a twentieth of the training samples "
        "stalls, which it holds back: the samples that score a trial have no part in its "
        "training; `cosine` warms up linearly and decays to zero.",
    )
    warmup_ratio: float = hyperparameter(
        0.3,
        FloatRange(0.0, 0.3),
        when=When("schedule", "cosine"),
        rule=BELOW_1,
        doc="Share of all steps spent in the warm-up of `cosine`.",
    )
    batch_size: int = hyperparameter(
        32, Choices(16, 32, 64), rule=AT_LEAST_1, doc="Samples per optimiser step."
    )
    max_epochs: int = hyperparameter(
        6, rule=AT_LEAST_1, doc="Epochs that a trial trains when nothing stops it."
    )
    patience: int = hyperparameter(
        3,
        rule=AT_LEAST_1,
        doc="Epochs with neither a better objective nor a lower validation loss after which a "
        "trial ends.",
    )
    max_grad_norm: float = hyperparameter(
        1.0, rule=POSITIVE, doc="Global L2 norm at which gradients are clipped."
    )
    weight_averaging: float = hyperparameter(
        0.99,
        Choices(0.0, 0.95, 0.99),
        rule=BELOW_1,
        doc="Decay of the moving average of the weights over optimiser steps, which is what is "
        "scored and shipped; 0 takes those of the last step.",
    )
    label_smoothing: float = hyperparameter(
        0.05,
        FloatRange(0.0, 0.15),
        rule=BELOW_1,
        doc="Probability moved from the true class to all classes.",
    )
    # Steps rather than a log range: 0, which weighs all samples alike, must be one of them.
    class_weight_smoothing: float = hyperparameter(
        0.0,
        Choices(0.0, 0.03, 0.1, 1.0),
        rule=AT_LEAST_0,
        doc="Strength of the class weights: 0 weighs all samples alike, infinity by inverse class "
        "frequency.",
    )
    sampling: Sampling = hyperparameter(
        "none",
        doc="What an epoch draws: `none` each sample once, `weighted` as many as there are, every "
        "class as often as any other, `undersample` as many of each class as the rarest has. "
        "Class weights and logit adjustment go by the classes as drawn.",
    )
    logit_adjustment: float = hyperparameter(
        0.0,
        rule=NOT_NEGATIVE,
        doc="Strength tau of the class priors in the loss: 0 is none, 1 aims at equal recall of "
        "all classes.",
    )
    focal_gamma: float = hyperparameter(
        0.0,
        rule=NOT_NEGATIVE,
        doc="Exponent by which sure predictions weigh less in the loss; 0 is none.",
    )
    # Of three classes: up to a third, the fallback is the most probable class anyway; from a half,
    # it takes what is not. For another number of classes the search scales the range.
    neutral_threshold: float = hyperparameter(
        0.3,
        FloatRange(0.3, 0.45),
        rule=SHARE,
        doc="A pair is of the fallback class, mostly neutral, when the probabilities of all others"
        " are under it; of three classes, up to 1/3 the largest decides: it is that one's anyway.",
    )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Build a config from a trial's parameters by field name; the others have their defaults.

        Returns:
            The config.

        Raises:
            ConfigError: If a name is no field of this config, or a value is out of its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(params.keys() - known)
        faults = [f"{cls.__name__} has no parameter {u!r}; {nearest(u, known)}" for u in unknown]
        config = cls(**{name: value for name, value in params.items() if name in known})
        faults += config.faults()
        if faults:
            raise ConfigError("\n".join(faults))
        return config

    @property
    def plateau_patience(self) -> int:
        """Stalled epochs until `plateau` lowers the rates, fewer than those that end a trial."""
        return max(0, min(_PLATEAU_PATIENCE, self.patience - 2))

    @property
    def least_plateau_epochs(self) -> int:
        """Least epochs in which `plateau` can act: a best one, those of its patience, one more."""
        return self.plateau_patience + 3

    def rate_of(self, slot: str) -> float:  # noqa: ARG002 - of a config of several towers
        """Return the peak learning rate of the unfrozen layers of the tower in a slot."""
        return self.backbone_learning_rate

    def faults(self) -> Iterator[str]:
        """Yield one sentence per value out of its range."""
        if self.schedule not in get_args(Schedule):
            yield _choice("schedule", self.schedule, get_args(Schedule))
        if self.sampling not in get_args(Sampling):
            yield _choice("sampling", self.sampling, get_args(Sampling))
        for name, each in hyperparameters_of(type(self)).items():
            value = getattr(self, name)
            if each.rule is not None and not each.rule.holds(value):
                yield f"{name} must be {each.rule.words}, got {value}"


def _choice(name: str, value: object, choices: Collection[str]) -> str:
    return f"{name} must be one of {', '.join(choices)}, got {value!r}; " + nearest(
        str(value), choices
    )
