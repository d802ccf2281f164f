"""What a search costs over the bare training of the same epochs: warm cache, one trial at a time.

    python -m tests.benchmarks.overhead --trials 12 --epochs 3
    python -m tests.benchmarks.overhead --data DATA --backbone text=DIR image=DIR --trials 8

The bare loop trains, in one process and with a trial's number of threads, exactly the epochs that
the search's trials trained, after the search; the machine must be idle for both. The activations
are built before either.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from analysis.run_folder.folder import RunFolder
from search.cluster.activations import configs_ahead
from search.config.plan import make_plan
from search.config.settings import parse
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import (
    add_search_options,
    make_experiment,
    read_configs,
    run_module,
    search_arguments,
    trial_times,
)
from trainables.worker import Workbench, build_activations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.experiment import Experiment


def train_bare(
    experiment: Experiment, configs: Sequence[Mapping[str, Any]], epochs: Sequence[int]
) -> dict[str, float]:
    """Train configs in this process.

    Args:
        experiment: What the search held fixed; its cache holds all activations.
        configs: Hyperparameters by name, per trial.
        epochs: How many to train, per trial.

    Returns:
        `start`: seconds to load the towers and open the activations; `loop`: of all trials.
    """
    began = time.perf_counter()
    bench = Workbench(experiment)
    for values in configs:
        for read in bench.variant.readings(bench.config(values)).values():
            bench.source(*read)
    opened = time.perf_counter()
    for values, count in zip(configs, epochs, strict=True):
        run = bench.start(bench.config(values))
        for _ in range(count):
            run.next_epoch()
    return {"start": opened - began, "loop": time.perf_counter() - opened}


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the search, then the bare loop.

    Args:
        options: The command line.
        folder: An empty folder.

    Returns:
        JSON-ready seconds and ratios.
    """
    words = search_arguments(options, folder / "run", folder / "cache")
    words += ["--max-concurrent", "1"]
    experiment, plan = make_experiment(words), make_plan(parse(words))
    for _ in build_activations(experiment, configs_ahead(plan)):
        pass
    search = run_module("search.run", words)
    configs, trials = read_configs(folder / "run"), RunFolder(folder / "run").read_trials()
    epochs = trials.sort_values("trial")["epochs"].tolist()
    precision = RunFolder(folder / "run").read_search().precision.training
    bare = train_bare(replace(experiment, precision=precision), configs, epochs)
    spans = trial_times(folder / "run")
    # The first trial also pays for the worker's start: imports, towers, activations.
    steady = max(end for _, end in spans) - spans[0][1]
    inside = RunFolder(folder / "run").read_history().groupby("trial")["epoch_seconds"].sum()
    loop = bare["loop"]
    return {
        "precision": precision,
        "trials": len(configs),
        "epochs": int(sum(epochs)),
        "search_seconds": search.seconds,
        "bare_loop_seconds": loop,
        "bare_start_seconds": bare["start"],
        "epochs_inside_seconds": float(inside.sum()),
        "total_ratio": search.seconds / loop,
        "start_up_seconds": search.seconds - steady - float(inside[0]),
        "steady_ratio": steady / float(inside.drop(0).sum()),
        "steady_overhead_per_trial": (steady - float(inside.drop(0).sum())) / (len(configs) - 1),
        "epochs_inside_ratio": float(inside.sum()) / loop,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_search_options(parser, trials=12, epochs=3)
    options = parser.parse_args()
    if options.trials < 2:
        parser.error(f"--trials must be >= 2, got {options.trials}")
    torch.set_num_threads(1)  # as a trial with one CPU
    with tempfile.TemporaryDirectory() as name:
        result = compare(options, Path(name))
    rows = [
        ["bare loop", f"{result['bare_loop_seconds']:.1f}", ""],
        ["search, whole process", f"{result['search_seconds']:.1f}", _x(result["total_ratio"])],
        ["  start-up and end", f"{result['start_up_seconds']:.1f}", ""],
        [
            "  its epochs alone",
            f"{result['epochs_inside_seconds']:.1f}",
            _x(result["epochs_inside_ratio"]),
        ],
        ["  after the first trial, against its own epochs", "", _x(result["steady_ratio"])],
        ["  per trial besides its epochs", f"{result['steady_overhead_per_trial']:.3f}", ""],
    ]
    title = f"A search of {result['trials']} trials, {result['epochs']} epochs, one at a time"
    note = "Ratios are to the bare loop, but for the line that says otherwise."
    record = {"machine": machine(), **result}
    show(title, ("", "seconds", "ratio"), rows, record, note)


def _x(ratio: float) -> str:
    return f"{ratio:.3f}x"


if __name__ == "__main__":
    main()
