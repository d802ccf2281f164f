"""What the time around the trials of a search goes to: one trial on the demo, activations built.

    python -m tests.benchmarks.startup
    python -m tests.benchmarks.startup --epochs 1 --rounds 3

Each round is the command line in a fresh process, which notes the time at which each step of the
search ends; one round before them fills the cache. The machine must be idle.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMED = "--timed"
# By the function that ends with it, in the order of a search.
_STEPS = {
    "make_plan": "command line, imports",
    "prepare": "imports, data",
    "init": "Ray",
    "describe": "first process, backbones",
    "show_building": "activations",
    "begin_with_rung_zero": "rung zero",
    "_run_trials": "the trial",
    "confirm": "confirmation",
    "measure_baseline": "baseline",
    "ship": "final model",
    "shutdown": "Ray's end",
    "write_report": "report",
    "end": "end of the process",
}


def run_timed(file: Path, words: list[str]) -> int:
    """Run a search in this process, and note when its steps end.

    Args:
        file: Where the Unix times are written, by step.
        words: The search's command line.

    Returns:
        Its exit code.
    """
    import ray

    import search.run
    from search.config import plan
    from search.pipeline import after_trials, workflow

    ends: dict[str, float] = {}

    def noted(step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def timed(*arguments: Any, **named: Any) -> Any:
            try:
                return work(*arguments, **named)
            finally:
                ends[step] = time.time()

        return timed

    for place, steps in (
        (plan, ["make_plan"]),
        (ray, ["init", "shutdown"]),
        (workflow, ["prepare", "describe", "show_building", "begin_with_rung_zero"]),
        (workflow, ["_run_trials", "write_report"]),
        (after_trials, ["confirm", "measure_baseline", "ship"]),
    ):
        for step in steps:
            setattr(place, step, noted(step, getattr(place, step)))
    code = search.run.main(words)
    file.write_text(json.dumps(ends))
    return code


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
        times, began = Path(run, "times.json"), time.time()
        command = [sys.executable, "-m", "tests.benchmarks.startup", _TIMED, str(times), *words]
        subprocess.run(command, check=True, capture_output=True)
        ends = {**json.loads(times.read_text()), "end": time.time()}
    last, seconds = began, {}
    for step in _STEPS:
        seconds[step], last = ends[step] - last, ends[step]
    return {**seconds, "whole": last - began}


def main() -> None:
    """Run the command line."""
    from tests.benchmarks.reporting import machine, show

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        take_round(Path(name), options.epochs)
        rounds = [take_round(Path(name), options.epochs) for _ in range(options.rounds)]
    taken = {step: median(one[step] for one in rounds) for step in rounds[0]}
    rows = [[_STEPS.get(step, step), f"{seconds:.2f}"] for step, seconds in taken.items()]
    record = {"machine": where, "epochs": options.epochs, "rounds": rounds}
    title = f"A search of one trial of {options.epochs} epochs, median of {options.rounds}"
    show(title, ("", "seconds"), rows, record)


if __name__ == "__main__":
    if sys.argv[1:2] == [_TIMED]:
        sys.exit(run_timed(Path(sys.argv[2]), sys.argv[3:]))
    main()
