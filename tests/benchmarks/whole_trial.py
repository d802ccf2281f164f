"""Whole trials on the activations of a real architecture: resident on the device, and on the host.

The activations are those of 64 random inputs, repeated: gathering and training them costs the
same as real ones. `epoch.py` runs this when it is given `--epochs`.
"""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tests.benchmarks.architectures import ARCHITECTURES
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.utilisation import Utilisation
from trainables.activations.files import StoredActivations
from trainables.activations.residence import placed
from trainables.data.sample import Fold
from trainables.evaluation.classes import SENTIMENTS
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import on_device
from trainables.modules.blocks.precision import precision_of
from trainables.training.fold import FoldTrainer, TrainingData
from trainables.training.lockstep import LockstepRun
from trainables.training.memory import peak_memory_mb
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.architectures import Architecture
    from trainables.config import Residence
    from trainables.evaluation.decision import Precision
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.heads.classifier import Classifier
    from trainables.variants.towers import TowersConfig

DISTINCT = 64
"""Random inputs that are repeated."""

_ROWS = 16
_SEED = 0
_OBJECTIVE = "val_weighted_f1"
_PARTS = 5


@dataclass(frozen=True)
class Trial:
    """A trial on random activations, whole: it can be sent to another process.

    Attributes:
        config: Its hyperparameters.
        classifier: What each fold begins with, on the CPU.
        distinct: The activations of `DISTINCT` inputs, by role, float16 on the CPU.
        samples: How many samples they are repeated to.
    """

    config: TowersConfig
    classifier: Classifier
    distinct: dict[str, Activations]
    samples: int

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        towers: Mapping[str, Tower],
        config: TowersConfig,
        samples: int,
        device: torch.device,
    ) -> Trial:
        """Run the frozen parts of an architecture on random inputs.

        Args:
            architecture: Which.
            towers: Its towers.
            config: The hyperparameters.
            samples: How many samples the activations are repeated to.
            device: Where the frozen parts run.

        Returns:
            The trial.
        """
        variant, raw = VARIANTS[architecture.variant], architecture.inputs(DISTINCT, _SEED)
        readings = variant.readings(config)
        pieces = on_device(
            [towers[role].prefix(read.cut) for role, read in readings.items()], device
        )
        distinct = {
            role: _run(piece, raw[role], device)
            for role, piece in zip(readings, pieces, strict=True)
        }
        torch.manual_seed(_SEED)
        return cls(config, variant.build(config, towers), distinct, samples)

    def data(self, device: torch.device, residence: Residence) -> TrainingData:
        """Give what all folds read.

        Args:
            device: Where they train.
            residence: Where activations lie.

        Returns:
            Activations and labels.
        """
        rows = torch.randint(
            DISTINCT, (self.samples,), generator=torch.Generator().manual_seed(_SEED)
        )
        stored = {role: _repeat(each, rows) for role, each in self.distinct.items()}
        there = {role: placed(each, device, residence) for role, each in stored.items()}
        labels = torch.tensor(self.labels).to(device)
        return TrainingData(there, labels, device, precision_of(device))

    @property
    def labels(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Classes of the samples, shape (N,), int64."""
        return np.arange(self.samples) % len(SENTIMENTS)

    def fold(self, number: int, train: int | None = None) -> Fold:
        """Give one of five folds.

        Args:
            number: Which.
            train: How many of its training samples to take, and of those it validates as many
                in proportion; None for all.

        Returns:
            The fold.
        """
        order = np.random.default_rng(_SEED).permutation(self.samples)
        validates = np.zeros(self.samples, bool)
        validates[number * self.samples // _PARTS : (number + 1) * self.samples // _PARTS] = True
        rest, val = order[~validates], order[validates]
        share = 1.0 if train is None else train / len(rest)
        counts = round(share * len(rest)), max(1, round(share * len(val)))
        return Fold(np.sort(rest[: counts[0]]), np.sort(val[: counts[1]]))

    def run(self, data: TrainingData, folds: Sequence[Fold]) -> LockstepRun:
        """Begin to train folds in lock step.

        Args:
            data: As `data` gives it.
            folds: The folds.

        Returns:
            The run.
        """
        trainers = [
            FoldTrainer(
                lambda: copy.deepcopy(self.classifier), data, fold, self.config, _SEED + number
            )
            for number, fold in enumerate(folds)
        ]
        return LockstepRun(trainers, self.labels, self.config, _OBJECTIVE)


def show_trials(options: argparse.Namespace) -> None:
    """Train one trial of each variant per residence, and print what an epoch takes.

    Args:
        options: `variant` (names), `device`, `precision`, `epochs`, `samples`, `unfrozen`
            and `batch`.
    """
    device = torch.device(options.device)
    residences: tuple[Residence, ...] = ("device", "host") if device.type == "cuda" else ("host",)
    results, rows = [], []
    for variant in options.variant:
        architecture = ARCHITECTURES[variant]
        config = replace(
            architecture.config(options.unfrozen),
            max_epochs=options.epochs,
            patience=options.epochs,
            batch_size=options.batch,
        )
        towers = architecture.load().towers
        trial = Trial.of(architecture, towers, config, options.samples, device)
        for residence in residences:
            result = {
                "variant": variant,
                "title": architecture.title,
                "residence": residence,
                **_train(trial, device, residence, options.precision),
            }
            results.append(result)
            rows.append([f"{result['title']}: {residence}", *_cells(result)])
    title = f"A trial of {options.epochs} epochs, {options.samples} samples, batch {options.batch}"
    columns = (
        "activations",
        "s/epoch",
        "samples/s",
        "activations, MB",
        "peak, MB",
        "GPU busy",
    )
    note = (
        "s/epoch: the median, training and validation. Peak: all that the trial holds on the GPU;"
        " without one, all that the process ever held, so name one variant at a time."
    )
    record = {"machine": machine(options.device), "precision": options.precision}
    record["results"] = results
    show(title, columns, rows, record, note)


def _cells(result: Mapping[str, Any]) -> list[str]:
    busy = result["gpu_busy_percent"]
    return [
        f"{result['seconds_per_epoch']:.3f}",
        f"{result['samples_per_second']:.0f}",
        f"{result['activations_mb']:.0f}",
        f"{result['peak_mb']:.0f}",
        "" if busy is None else f"{busy:.0f} %",
    ]


@torch.inference_mode()
def _run(prefix: Any, raw: Activations, device: torch.device) -> Activations:
    parts = [prefix(_slice(raw, i).to(device)) for i in range(0, DISTINCT, _ROWS)]
    masks = [part.mask for part in parts if part.mask is not None]
    mask = torch.cat(masks).cpu() if masks else None
    return Activations(torch.cat([part.values for part in parts]).half().cpu(), mask)


def _slice(raw: Activations, start: int) -> Activations:
    mask = None if raw.mask is None else raw.mask[start : start + _ROWS]
    return Activations(raw.values[start : start + _ROWS], mask)


@torch.inference_mode()
def _repeat(activations: Activations, rows: torch.Tensor) -> StoredActivations:
    values, mask, _ = activations
    if mask is None:
        return StoredActivations(values[rows], None)
    texts = [values[row, mask[row]] for row in rows.tolist()]
    return StoredActivations(torch.cat(texts), mask.sum(dim=1)[rows])


def _train(
    trial: Trial, device: torch.device, residence: Residence, precision: Precision
) -> dict[str, Any]:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    data = replace(trial.data(device, residence), precision=precision)
    run = trial.run(data, [trial.fold(0)])
    with Utilisation() as utilisation:
        epochs = []
        while not run.finished:
            epochs.append(run.next_epoch().metrics["epoch_seconds"])
    seconds = statistics.median(epochs)
    return {
        "seconds_per_epoch": seconds,
        "first_epoch_seconds": epochs[0],
        "samples_per_second": trial.samples / seconds,
        "activations_mb": activations_mb(data),
        "peak_mb": peak_memory_mb(device),
        "gpu_busy_percent": utilisation.percent,
    }


def activations_mb(data: TrainingData) -> float:
    """Say how large the activations of all samples are, in MB of a million bytes."""
    sizes = (source.nbytes for source in data.sources.values() if hasattr(source, "nbytes"))
    return sum(sizes) / 1e6
