"""Folds in lock step: the same numbers as one after another, and what they cost.

    python -m tests.benchmarks.lockstep --model early_fusion --data DATA --folds 5 \
        --backbone text=DIR --backbone image=DIR --fix text_unfrozen_layers=0

Takes the words of `search.run`. The hand-tuned config is trained on K folds side by side and on
each fold alone, in turn, several rounds; the ratio of the medians is told.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.workflow import prepare
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import in_precision
from trainables.seeds import stream_seed
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainables.config import TrainConfig
    from trainables.data.sample import Fold

_ROUNDS = 3


def train(
    bench: Workbench, config: TrainConfig, folds: Sequence[Fold], first: int
) -> tuple[float, NDArray[np.float32]]:
    """Train some folds side by side, in full.

    Args:
        bench: Towers and activations.
        config: The hyperparameters.
        folds: The folds.
        first: The number of the first one, which its seed hangs on.

    Returns:
        Seconds, and the probabilities after the last epoch.
    """
    began = time.perf_counter()
    numbers = range(first, first + len(folds))
    run = bench.start(config, folds, [stream_seed(bench.experiment.seed, k) for k in numbers])
    for _ in range(config.max_epochs):
        scores = run.next_epoch()
    return time.perf_counter() - began, scores.probabilities


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark.

    Args:
        arguments: The words after `python -m search.run`.

    Raises:
        RuntimeError: If the folds in lock step say other than each alone.
    """
    plan = make_plan(parse(arguments))
    bench = Workbench(in_precision(prepare(plan), plan))
    config, folds = bench.config(plan.hand_tuned), bench.experiment.folds
    train(bench, config, folds[:1], 0)  # opens the activations
    together, alone = [], []
    for _ in range(_ROUNDS):
        seconds, said = train(bench, config, folds, 0)
        together.append(seconds)
        singles = [train(bench, config, [fold], k) for k, fold in enumerate(folds)]
        alone.append(sum(seconds for seconds, _ in singles))
        gap = float(np.abs(said - np.concatenate([each for _, each in singles])).max())
        if gap > 1e-6:
            msg = f"folds in lock step must say the same as alone, got a difference of {gap}"
            raise RuntimeError(msg)
    ratio = statistics.median(together) / statistics.median(alone)
    rows = [
        ("in lock step", f"{statistics.median(together):.2f}"),
        ("one after another", f"{statistics.median(alone):.2f}"),
        ("ratio", f"{ratio:.3f}"),
        ("largest difference of a probability", f"{gap:.1e}"),
    ]
    show(
        f"{len(folds)} folds, {config.max_epochs} epochs, median of {_ROUNDS} rounds",
        ("", "seconds"),
        rows,
        {
            "machine": machine(),
            "precision": bench.precision,
            "together": together,
            "alone": alone,
            "ratio": ratio,
            "gap": gap,
        },
    )


if __name__ == "__main__":
    main(sys.argv[1:])
