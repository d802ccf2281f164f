"""Profile a search before it starts: time and memory of its heaviest and lightest config."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.data.sample import Fold
from trainables.training.memory import peak_memory_mb
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from trainables.experiment import Experiment
    from trainables.variants.towers import TowersConfig

_VALIDATED = 64  # validation samples of the reduced experiment


def rehearse(
    experiment: Experiment,
    params: Sequence[Mapping[str, Any]],
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Run a training epoch and a validation of the heaviest and lightest config on a few samples.

    Configs are ordered by the number of trainable parameters, then by batch size. The activations
    of the few samples are built in a temporary folder, for all cuts that the configs need.

    Args:
        experiment: The experiment of the search.
        params: Hyperparameters of the candidate configs, by name.
        device: Where they train; None uses a GPU if there is one.

    Returns:
        `heaviest` and `lightest`, each with `trainable`, `batch`, `step_seconds`,
        `validation_seconds` (per sample), `seconds` (of a full trial) and `memory_mb`; and of the
        activations `bytes` (for all samples and cuts), `files`, `build_seconds` and `free_bytes`.
    """
    bench = Workbench(experiment, device)
    configs = [bench.config(values) for values in params]
    weights = [bench.count(bench.build_classifier(config))["trainable"] for config in configs]
    order = sorted(range(len(configs)), key=lambda k: (weights[k], configs[k].batch_size))
    chosen = {"lightest": order[0], "heaviest": order[-1]}
    most = max(configs[k].batch_size for k in chosen.values())
    with tempfile.TemporaryDirectory() as folder:
        little = _little(experiment, most, Path(folder))
        rehearsal = Workbench(little, device)
        results: dict[str, Any] = _build(rehearsal, experiment, configs)
        for name, k in chosen.items():  # lightest first, since peak memory only grows
            results[name] = {"trainable": weights[k]} | _run(rehearsal, experiment, configs[k])
    return results


def _little(experiment: Experiment, batch: int, folder: Path) -> Experiment:
    """Reduce an experiment to one training batch and a few validation samples."""
    fold = experiment.folds[0]
    train, val = fold.train[:batch], fold.val[:_VALIDATED]
    labelled = tuple(experiment.corpus.labelled[k] for k in (*train, *val))
    rows = np.arange(len(labelled))
    return replace(
        experiment,
        corpus=replace(experiment.corpus, labelled=labelled, unlabelled=()),
        folds=(Fold(train=rows[: len(train)], val=rows[len(train) :]),),
        cache=None if experiment.cache is None else folder,
    )


def _build(
    bench: Workbench, experiment: Experiment, configs: Sequence[TowersConfig]
) -> dict[str, Any]:
    folder = bench.experiment.cache
    if folder is None:
        return {"bytes": 0, "files": 0, "build_seconds": 0.0, "free_bytes": 0}
    began = time.perf_counter()
    for _ in bench.build_for(configs):
        pass
    seconds = time.perf_counter() - began
    files = list(folder.glob("*.safetensors"))
    scale = len(experiment.corpus.samples) / len(bench.experiment.corpus.samples)
    wanted = experiment.cache_here
    assert wanted is not None
    existing = next(p for p in (wanted, *wanted.parents) if p.exists())
    return {
        "bytes": round(sum(_scaled_size(file, scale) for file in files)),
        "files": len(files),
        "build_seconds": seconds * scale,
        "free_bytes": shutil.disk_usage(existing).free,
    }


def _scaled_size(file: Path, scale: float) -> float:
    """Estimate a file's size for so many times the rows; its header hardly grows with them."""
    with file.open("rb") as opened:
        head = 8 + int.from_bytes(opened.read(8), "little")
    return head + (file.stat().st_size - head) * scale


def _run(bench: Workbench, experiment: Experiment, config: TowersConfig) -> dict[str, Any]:
    (trainer,) = bench.start(config).trainers
    trainer.train_epoch()  # warm-up
    trainer.validate()
    began = time.perf_counter()
    trainer.train_epoch()
    between = time.perf_counter()
    trainer.validate()
    trained, validated = between - began, time.perf_counter() - between
    fold = bench.experiment.folds[0]
    each_step = trained * config.batch_size / len(fold.train)
    each_sample = validated / len(fold.val)
    seconds = sum(
        each_step * len(whole.train) / config.batch_size + each_sample * len(whole.val)
        for whole in experiment.folds
    )
    return {
        "batch": config.batch_size,
        "step_seconds": each_step,
        "validation_seconds": each_sample,
        "seconds": seconds * config.max_epochs,
        "memory_mb": peak_memory_mb(bench.device),
    }
