"""What bfloat16 gains on this CPU, and what it changes: builds, epochs, scores, decisions.

    python -m tests.benchmarks.precision --seeds 5 --model early_fusion --split lab --epochs 4 \
        --data DATA --backbone text=DIR --backbone image=DIR \
        --fix text_unfrozen_layers=2 --fix image_unfrozen_layers=0

Takes the words of `search.run`. The hand-tuned config is trained on the folds of the search in
both precisions, in turn, with as many seeds: of initial weights, dropout and order. Its frozen
activations are built in both first. Seconds are those of all cores of this process, so that they
nearly hold beside other work. The last rows compare what the models of bfloat16 say in bfloat16
and in float32.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.workflow import prepare
from tests.benchmarks.reporting import machine, show
from trainables.evaluation.decision import decide
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from trainables.config import TowersConfig
    from trainables.experiment import Experiment
    from trainables.training.lockstep import LockstepRun

_BOTH = ("float32", "bfloat16")
_CPU = torch.device("cpu")


class Trained(NamedTuple):
    """Folds that were trained in one precision.

    Attributes:
        seconds: Core-seconds of an epoch, of all folds.
        score: The objective after the last epoch, the mean over folds.
        run: The models.
    """

    seconds: float
    score: float
    run: LockstepRun


def bench_of(experiment: Experiment, precision: Any, cache: Path) -> Workbench:
    """Make a workbench that computes all in one precision, convolutions apart."""
    changed = replace(experiment, precision=precision, frozen_precision=precision, cache=cache)
    return Workbench(changed, _CPU)


def build(bench: Workbench, config: TowersConfig) -> dict[str, float]:
    """Build the activations that a config reads.

    Returns:
        Core-seconds, by tower; loading and hashing the weights not included.
    """
    seconds = {}
    for read in bench.variant.readings(config, bench.experiment.modality).values():
        bench.key(*read)
        began = time.process_time()
        for _ in bench.build(read.tower, [read.cut], read.prepared):
            pass
        seconds[read.tower] = time.process_time() - began
    return seconds


def train(bench: Workbench, config: TowersConfig) -> Trained:
    """Train a config on the folds of the experiment."""
    run = bench.start(config)
    began = time.process_time()
    for _ in range(config.max_epochs):
        scores = run.next_epoch()
    seconds = (time.process_time() - began) / config.max_epochs
    return Trained(seconds, scores.metrics[bench.experiment.metric], run)


def disagreements(trained: Trained, exact: Workbench, config: TowersConfig) -> tuple[int, int]:
    """Count the validated samples that models decide on otherwise in float32.

    Args:
        trained: The models, in fewer bits.
        exact: Computes all in float32.
        config: What they were built from.

    Returns:
        How many, of how many.
    """

    def decisions(probabilities: Tensor) -> Any:
        return decide(probabilities.exp().numpy(), config.neutral_threshold)

    differ = total = 0
    others = exact.start(config).trainers
    for one, other in zip(trained.run.trainers, others, strict=True):
        other.classifier.load_state_dict(one.classifier.state_dict())
        differ += int((decisions(one.predict(one.val)) != decisions(other.predict(one.val))).sum())
        total += len(one.val)
    return differ, total


def compare(words: Sequence[str], seeds: int, folder: Path) -> dict[str, Any]:
    """Measure both precisions in turns.

    Args:
        words: Those of `search.run`.
        seeds: How many.
        folder: An empty folder.

    Returns:
        JSON-ready: core-seconds of builds by tower and of epochs, scores by seed, and how many
        decisions differ.
    """
    plan = make_plan(parse([*words, "--out", str(folder / "run")]))
    experiment = prepare(plan)
    built: dict[str, Any] = {}
    epochs: dict[str, list[float]] = {precision: [] for precision in _BOTH}
    scores: dict[str, list[float]] = {precision: [] for precision in _BOTH}
    differ = total = 0
    for seed in range(seeds):
        benches = {
            each: bench_of(replace(experiment, seed=seed), each, folder / each) for each in _BOTH
        }
        config = benches["float32"].config(plan.hand_tuned)
        for precision, bench in benches.items():
            if not seed:
                built[precision] = build(bench, config)
            trained = train(bench, config)
            epochs[precision].append(trained.seconds)
            scores[precision].append(trained.score)
        counts = disagreements(trained, benches["float32"], config)
        differ, total = differ + counts[0], total + counts[1]
    return {
        "objective": experiment.metric,
        "build_core_seconds": built,
        "epoch_core_seconds": epochs,
        "scores": scores,
        "decisions_that_differ": differ,
        "decisions": total,
    }


def rows_of(found: Mapping[str, Any]) -> list[list[str]]:
    """Tabulate what was measured."""
    rows = []
    for tower in found["build_core_seconds"]["float32"]:
        exact, fewer = (found["build_core_seconds"][each][tower] for each in _BOTH)
        rows.append([f"build {tower}, core-seconds", *_pair(exact, fewer, 1)])
    exact, fewer = (mean(found["epoch_core_seconds"][each]) for each in _BOTH)
    rows.append(["epoch of all folds, core-seconds", *_pair(exact, fewer, 1)])
    one, other = (found["scores"][each] for each in _BOTH)
    gaps = np.subtract(other, one)
    error = f" +- {stdev(gaps) / len(gaps) ** 0.5:.4f}" if len(gaps) > 1 else ""
    difference = f"{gaps.mean():+.4f}{error}"
    label = f"{found['objective']}, mean of {len(gaps)} seeds"
    rows.append([label, f"{mean(one):.4f}", f"{mean(other):.4f}", difference])
    differ, total = found["decisions_that_differ"], found["decisions"]
    rows.append(["decisions of its models in float32", "", f"{1 - differ / total:.2%} equal", ""])
    return rows


def _pair(exact: float, fewer: float, digits: int) -> list[str]:
    ratio = f"{exact / fewer:.2f} times" if fewer else ""
    return [f"{exact:.{digits}f}", f"{fewer:.{digits}f}", ratio]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="of training")
    options, words = parser.parse_known_args()
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        found = compare(words, options.seeds, Path(name))
    columns = ("", "float32", "bfloat16", "gain or difference")
    show("bfloat16 beside float32", columns, rows_of(found), {"machine": where, **found})


if __name__ == "__main__":
    main()
