"""What the time around the trials of a search goes to: one trial on the demo, activations built.

    python -m tests.benchmarks.startup
    python -m tests.benchmarks.startup --epochs 1 --rounds 3

Each round is the command line in a fresh process, which notes the time at which each step of the
search ends; one round before them fills the cache. The machine must be idle.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.reporting import machine, show
from tests.benchmarks.steps import take_steps


def take_round(folder: Path, epochs: int) -> dict[str, float]:
    """Run one search, and take the seconds of each of its steps.

    Args:
        folder: Holds the cache; the run folder in it is made anew.
        epochs: Of the trial.

    Returns:
        Seconds by step, and of the `whole` process.
    """
    with tempfile.TemporaryDirectory(dir=folder) as run:
        words = ["--model", "early_fusion", "--trials", "1", "--epochs", str(epochs)]
        words += ["--data", "demo", "--cache", str(folder / "cache"), "--out", f"{run}/run"]
        steps = take_steps(words)
    seconds = {step.name: step.seconds for step in steps}
    return {**seconds, "whole": sum(seconds.values())}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        take_round(Path(name), options.epochs)
        rounds = [take_round(Path(name), options.epochs) for _ in range(options.rounds)]
    taken = {step: median(one[step] for one in rounds) for step in rounds[0]}
    rows = [[step, f"{seconds:.2f}"] for step, seconds in taken.items()]
    record = {"machine": where, "epochs": options.epochs, "rounds": rounds}
    title = f"A search of one trial of {options.epochs} epochs, median of {options.rounds}"
    show(title, ("", "seconds"), rows, record)


if __name__ == "__main__":
    main()
