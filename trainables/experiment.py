"""What all trials of a search share; light to pickle, without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from socket import gethostname
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from trainables.modules.backbones.weights import local_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.config import CacheDtype, InputSettings, Modality, Residence
    from trainables.data.sample import Corpus, Fold
    from trainables.evaluation.decision import Precision


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a trial depends on besides its hyperparameters.

    Attributes:
        variant: A key of `VARIANTS`.
        corpus: The checked data.
        folds: The splits; every trial trains them in lock step.
        inputs: How text and images are preprocessed.
        backbones: Where the weights of each role come from: a folder, a file, a hub id or `tiny`.
        metric: The objective, a key of a trial's reports such as `val_weighted_f1`.
        max_epochs: Number of epochs of a trial that is not stopped.
        seed: Of initial weights, dropout and shuffling; the same for every trial, so that trials
            differ only in their hyperparameters.
        modality: What is read of a pair; the other tower is neither loaded nor run.
        cache: Folder of cached activations, in which each node expands `~` and `$NAME`; None
            computes them for every batch.
        cache_dtype: How activations are stored.
        resident: Whether activations are moved to the device at once.
        precision: In which models train and predict; `auto` until it is chosen, and then as
            `precision_of` says.
        frozen_precision: In which frozen parts of towers compute; `auto` until it is chosen, and
            then float32.
        identity: Tells it, and its copies in other processes, from every other experiment.
    """

    variant: str
    corpus: Corpus
    folds: tuple[Fold, ...]
    inputs: InputSettings
    backbones: Mapping[str, str]
    metric: str
    max_epochs: int
    seed: int
    cache: Path | None
    modality: Modality = "both"
    cache_dtype: CacheDtype = "float16"
    resident: Residence = "auto"
    precision: Precision | Literal["auto"] = "auto"
    frozen_precision: Precision | Literal["auto"] = "auto"
    identity: str = field(init=False, compare=False, default_factory=lambda: uuid4().hex)

    @property
    def cache_here(self) -> Path | None:
        """The folder of cached activations on this node."""
        return None if self.cache is None else on_this_node(self.cache)


def on_this_node(folder: Path) -> Path:
    """Expand `~` and `$NAME` in a folder, which may differ between nodes.

    Returns:
        The folder.

    Raises:
        ValueError: If this node lacks a variable or a home folder.
    """
    here = local_path(os.path.expandvars(folder))
    if "$" in str(here) or str(here).startswith("~"):
        rule = "must name variables and homes that every node has"
        msg = f"{folder} {rule}, got {here} on {gethostname()}"
        raise ValueError(msg)
    return here
