"""`search.json`: what was searched, on which data, with which settings."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the check is made from the annotations
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from analysis.run_folder.records import WHOLE, Count, omitted
from trainables.evaluation.classes import Classes, classes_named

_Factor = Annotated[float, ("exclusiveMinimum", 1)]  # else rungs never end


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """Of the search's `TuningSettings`, what readers of its results look at."""

    epochs: Count | None = None
    reduction_factor: _Factor | None = None


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Of the search's `SelectionSettings`, likewise."""

    decision: str = "searched"


@dataclass(frozen=True, kw_only=True)
class ResourceSettings:
    """Of the search's `ResourceSettings`, likewise."""

    study_storage: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a search: `everything`, and by name what readers of its results look at."""

    everything: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE)
    trials: Count | None = None
    seed: int | None = None
    tuning: TuningSettings = TuningSettings()
    selection: SelectionSettings = SelectionSettings()
    resources: ResourceSettings = ResourceSettings()


@dataclass(frozen=True, kw_only=True)
class Data:
    """What was learnt from.

    Attributes:
        encoding: Of texts that are no UTF-8; None where all are.
        held_out: How many of the unlabelled samples are a labelled test set.
        classes: Labelled samples by class, in the order of the classes.
        fallback_class: The one that a pair is of where no other is likely; None for `neutral`,
            where that is a class.
        missing: How many samples lack their `text` or their `image`; empty where none may.
    """

    name: str
    is_demo: bool
    digest: str
    encoding: str | None = None
    labelled: Count
    unlabelled: Count
    held_out: Count = 0
    classes: Mapping[str, Count]
    fallback_class: str | None = field(default=None, metadata=omitted("fallback_class"))
    missing: Mapping[str, Count] = field(default_factory=dict)

    @property
    def named(self) -> Classes:
        """The classes."""
        return classes_named(tuple(self.classes), self.fallback_class)


@dataclass(frozen=True, kw_only=True)
class Split:
    """How the labelled samples were split.

    Attributes:
        folds: Folds of each repeat.
        train: Number of training samples, by fold, repeat after repeat.
        val: Number of validation samples, likewise.
        digest: Of the samples of each fold.
    """

    kind: str = "unknown"
    folds: Count
    repeats: Count = 1
    train: tuple[Count, ...]
    val: tuple[Count, ...]
    digest: str = ""

    @property
    def fresh(self) -> str:
        """What is new where configs are trained again: a split that was given stays."""
        return fresh_words(given=self.kind == GIVEN)


GIVEN = "given"
"""The kind of a split that came with the data."""


def fresh_words(*, given: bool) -> str:
    """Say what is new where configs are trained again."""
    return "fresh seeds, on the split of the data" if given else "fresh seeds and folds"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a search ran on: totals, and the share of one trial."""

    machines: float = 1
    cpus: float = 0
    gpus: float = 0
    cpus_per_trial: float = 0
    gpus_per_trial: float = 0
    slots: Count = 1
    system: str = ""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """In which precision a search computed; heads, losses and weights are in float32.

    Attributes:
        training: Trials and all that trains after them, and their predictions; `auto` in runs of
            versions that chose it by the device alone.
        activations: The frozen part of the backbones; of convolutional ones always float32.
        speedup: How many times as fast as float32 bfloat16 was when the search began; None where
            it was not measured.
        activations_speedup: The same of a frozen part, which runs forward alone.
    """

    training: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    activations: Literal["float32", "bfloat16"] = "float32"
    speedup: float | None = None
    activations_speedup: float | None = None


@dataclass(frozen=True, kw_only=True)
class Code:
    """The commit of this program, and whether its files differed from it."""

    commit: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class ActivationBuild:
    """How one node built the frozen activations of one backbone.

    Attributes:
        node: Index of the node.
        done: Samples computed.
        total: Samples to compute.
        seconds: Time spent on them.
        cached: Whether the file was there already.
    """

    node: Count = 0
    role: str = ""
    done: Count = 0
    total: Count = 0
    seconds: float
    cached: bool


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of the search, as a new one or resumed."""

    started: str = ""
    hardware: Hardware = Hardware()
    versions: Mapping[str, str] = field(default_factory=dict)
    code: Code | None = None
    trials: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Search:
    """The content of `search.json`.

    Attributes:
        model: The variant.
        modality: Which of text and image it reads.
        objective: The metric that was searched for, such as `val_weighted_f1`.
        command: The command line that runs this search again.
        name: Of the study, where others have theirs too.
        settings: What was asked, with every default filled in.
        space: What narrowed the space: `fixed` values, `ranges` and `choices`, by hyperparameter.
        hand_tuned: The config that was tried first.
        grace_epochs: Epochs before ASHA could stop a trial; all of them without ASHA.
        inputs: How text and images were preprocessed.
        backbones: Where the weights of each role came from.
        random_backbones: Roles whose weights were random.
        backbone_fingerprints: Of the weights, config, tokenizer and preprocessor, by role.
        parameters: Of the hand-tuned model, how many there are and how many train.
        notes: What a reader should know of data and weights, in sentences.
        versions: Of Python and of packages.
        code: Its commit; None where it was installed without its repository.
        started: When, in ISO 8601.
        activations: How the frozen activations were built; empty without a cache.
        attempts: Every start of it, this one last.
        packing: How trials share a GPU, where the first trials decided it.
    """

    model: str
    modality: Literal["both", "text", "image"] = "both"
    objective: Annotated[str, ("pattern", "^val_")]
    mode: Literal["max", "min"]
    command: str = ""
    name: str = ""
    settings: Settings = Settings()
    space: Mapping[str, Any] = field(default_factory=dict)
    hand_tuned: Mapping[str, Any] = field(default_factory=dict)
    grace_epochs: Annotated[int, ("minimum", 1)] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    data: Data
    split: Split
    backbones: Mapping[str, str] = field(default_factory=dict)
    random_backbones: tuple[str, ...] = ()
    backbone_fingerprints: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hardware: Hardware = Hardware()
    precision: Precision = Precision()
    versions: Mapping[str, str] = field(default_factory=dict)
    code: Code | None = None
    started: str = ""
    activations: tuple[ActivationBuild, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    packing: Mapping[str, float] | None = field(default=None, metadata=omitted("packing"))
