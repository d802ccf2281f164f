"""Whole trials on the activations of a real architecture: resident on the device, and on the host.

The activations are those of 64 random inputs, repeated: gathering and training them costs the
same as real ones. `epoch.py` runs this when it is given `--epochs`.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tests.benchmarks.architectures import ARCHITECTURES
from tests.benchmarks.reporting import machine, show
from trainables.activations.files import StoredActivations
from trainables.config import ROLES
from trainables.data.sample import Fold
from trainables.evaluation.classes import Sentiment
from trainables.modules.blocks.activations import Activations
from trainables.training.fold import FoldTrainer, TrainingData
from trainables.training.lockstep import LockstepRun
from trainables.training.memory import peak_memory_mb
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from trainables.activations.raw import Source
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Cut

_DISTINCT, _ROWS = 64, 16
_SEED = 0
_OBJECTIVE = "val_weighted_f1"


class Utilisation:
    """The share of time in which the GPU was at work, sampled while a block runs."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Utilisation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def percent(self) -> float | None:
        """The mean in percent; None where there is no GPU or no driver library to ask."""
        return statistics.mean(self._samples) if self._samples else None

    def _watch(self) -> None:
        while torch.cuda.is_available() and not self._done.wait(0.1):
            try:
                self._samples.append(torch.cuda.utilization())
            except (ModuleNotFoundError, RuntimeError):
                return


def show_trials(options: argparse.Namespace) -> None:
    """Train one trial of each variant per residence, and print what an epoch takes.

    Args:
        options: `variant` (names), `device`, `epochs`, `samples`, `unfrozen` and `batch`.
    """
    device = torch.device(options.device)
    residences = ("device", "host") if device.type == "cuda" else ("host",)
    results, rows = [], []
    for variant in options.variant:
        folder = tempfile.TemporaryDirectory()
        with folder:
            _, sources = ARCHITECTURES[variant].make(Path(folder.name))
            towers = VARIANTS[variant].load(sources, ROLES["both"])
        stored = _store(variant, towers, options)
        for residence in residences:
            result = _train(variant, towers, stored, options, residence)
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
    record = {"machine": machine(options.device), "results": results}
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


def _store(
    variant: str, towers: Mapping[str, Tower], options: argparse.Namespace
) -> dict[str, StoredActivations]:
    device = torch.device(options.device)
    architecture = ARCHITECTURES[variant]
    raw = architecture.inputs(_DISTINCT, _SEED)
    rows = torch.randint(_DISTINCT, (options.samples,))
    config = architecture.config(options.unfrozen)
    return {
        role: _repeat(_run(towers[role], read.cut, raw[role], device), rows)
        for role, read in VARIANTS[variant].readings(config).items()
    }


@torch.inference_mode()
def _run(tower: Tower, cut: Cut, raw: Activations, device: torch.device) -> Activations:
    prefix = tower.prefix(cut).to(device)
    parts = [prefix(_slice(raw, i).to(device)) for i in range(0, _DISTINCT, _ROWS)]
    prefix.cpu()  # its weights are the tower's
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
    variant: str,
    towers: Mapping[str, Tower],
    stored: Mapping[str, StoredActivations],
    options: argparse.Namespace,
    residence: str,
) -> dict[str, Any]:
    device = torch.device(options.device)
    config = replace(
        ARCHITECTURES[variant].config(options.unfrozen),
        max_epochs=options.epochs,
        patience=options.epochs,
        batch_size=options.batch,
    )
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    moved: dict[str, Source] = {
        role: source.to(device) if residence == "device" else source
        for role, source in stored.items()
    }
    labels = np.arange(options.samples) % len(Sentiment)
    data = TrainingData(moved, torch.tensor(labels).to(device), device)
    order = np.random.default_rng(_SEED).permutation(options.samples)
    fold = Fold(np.sort(order[options.samples // 5 :]), np.sort(order[: options.samples // 5]))
    trainer = FoldTrainer(
        lambda: VARIANTS[variant].build(config, towers), data, fold, config, _SEED
    )
    trial = LockstepRun([trainer], labels, config, _OBJECTIVE)
    with Utilisation() as utilisation:
        epochs = []
        while not trial.finished:
            epochs.append(trial.next_epoch().metrics["epoch_seconds"])
    seconds = statistics.median(epochs)
    return {
        "variant": variant,
        "title": ARCHITECTURES[variant].title,
        "residence": residence,
        "seconds_per_epoch": seconds,
        "first_epoch_seconds": epochs[0],
        "samples_per_second": options.samples / seconds,
        "activations_mb": sum(source.nbytes for source in stored.values()) / 1e6,
        "peak_mb": peak_memory_mb(device),
        "gpu_busy_percent": utilisation.percent,
    }
