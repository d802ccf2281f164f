"""A search in a process that notes when each of its steps ends, and what a step took.

Run as a program, it is `search.run` that writes the times into the file of its first word.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STEPS = {
    "make_plan": "command line, imports",
    "prepare": "imports, data",
    "init": "Ray",
    "describe": "first process, backbones",
    "show_building": "activations",
    "begin_with_rung_zero": "rung zero",
    "_run_trials": "trials",
    "propose": "ensemble selected",
    "confirm": "confirmation",
    "measure_baseline": "baseline",
    "confirm_regressions": "regressions of the ensemble",
    "ship": "final model",
    "ship_ensemble": "final ensemble",
    "shutdown": "Ray's end",
    "write_report": "report",
}
_OPTIONAL = {"begin_with_rung_zero", "propose", "confirm_regressions", "ship", "ship_ensemble"}
LAST = "end of the process"
TRIALS = _STEPS["_run_trials"]


class Step(NamedTuple):
    """What a step of a search took.

    Attributes:
        name: Which one.
        seconds: Wall-clock time, from the end of the step before.
        core_seconds: Time of all cores of the search's processes in the meantime.
    """

    name: str
    seconds: float
    core_seconds: float


def take_steps(words: Sequence[str]) -> list[Step]:
    """Run a search in a process of its own.

    Args:
        words: The words after `python -m search.run`.

    Returns:
        Its steps, in the order in which they ended.

    Raises:
        RuntimeError: If the search fails, or lacks a step that every search has.
    """
    from tests.benchmarks.searches import run_module

    with tempfile.TemporaryDirectory() as folder:
        times, began = Path(folder, "times.json"), time.time()
        ran = run_module("tests.benchmarks.steps", [str(times), *words])
        ends = json.loads(times.read_text())
    if lacking := _STEPS.keys() - _OPTIONAL - ends.keys():
        msg = f"these steps were not run, or are elsewhere by now: {', '.join(sorted(lacking))}"
        raise RuntimeError(msg)
    named = {_STEPS[step]: end for step, end in ends.items()}
    return steps_between(began, named | {LAST: began + ran.seconds}, ran.spent)


def steps_between(
    began: float, ends: Mapping[str, float], spent: Mapping[float, float]
) -> list[Step]:
    """Part a process's time among its steps.

    Args:
        began: When it began, in Unix time.
        ends: When each step ended, likewise.
        spent: Core-seconds used up to then, by Unix time; in between they are interpolated.

    Returns:
        The steps, in the order in which they ended.
    """
    order = sorted(ends, key=lambda name: ends[name])
    edges = [began, *(ends[name] for name in order)]
    clock = np.array([began, *sorted(spent)])
    used = np.interp(edges, clock, [0.0, *(spent[moment] for moment in sorted(spent))])
    return [
        Step(name, end - start, float(after - before))
        for name, (start, end), (before, after) in zip(
            order, pairwise(edges), pairwise(used), strict=True
        )
    ]


def run_noting(file: Path, words: list[str]) -> int:
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
        (after_trials, ["propose", "confirm", "measure_baseline", "confirm_regressions"]),
        (after_trials, ["ship", "ship_ensemble"]),
    ):
        for step in steps:
            setattr(place, step, noted(step, getattr(place, step)))
    code = search.run.main(words)
    file.write_text(json.dumps(ends))
    return code


if __name__ == "__main__":
    sys.exit(run_noting(Path(sys.argv[1]), sys.argv[2:]))
