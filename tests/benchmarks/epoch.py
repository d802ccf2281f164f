"""A step of training and of evaluation: uncut, cut, and cut with one token read.

    python -m tests.benchmarks.epoch                       # every variant, on the CPU
    python -m tests.benchmarks.epoch --device cuda --rounds 30
    python -m tests.benchmarks.epoch --device cuda --epochs 12 --samples 4000   # a whole trial

Real architectures with random weights; nothing is downloaded and Ray is not needed. Before
anything is timed it is checked that the three ways give the same logits, and that a trial's step
has no operation in a frozen module, where an uncut step has many.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any, get_args

import torch

from tests.benchmarks.architectures import ARCHITECTURES
from tests.benchmarks.flops import count_evaluation, count_training
from tests.benchmarks.reporting import cores, machine, show
from tests.benchmarks.ways import WAYS, Way, make_ways
from tests.benchmarks.whole_trial import show_trials
from trainables.evaluation.decision import Precision
from trainables.modules.blocks.precision import precision_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Sums run in another order; relative to how far the logits of different pairs lie apart.
_TOLERANCE = 1e-2
_COLUMNS = ("step", *WAYS, *(f"uncut / {way}" for way in WAYS[1:]))


def check_agreement(ways: Mapping[str, Way]) -> float:
    """Check that the three ways classify alike, in float32 and without dropout.

    Args:
        ways: By name, before any training.

    Returns:
        The largest difference of a logit, in standard deviations of the logits over the batch.

    Raises:
        RuntimeError: If they differ.
    """
    logits = {name: way.logits() for name, way in ways.items()}
    spread = logits["uncut"].std(dim=0).min()
    gap = max(((logits["uncut"] - x).abs().max() / spread).item() for x in logits.values())
    if not gap <= _TOLERANCE:
        msg = f"logits of the three ways must differ by <= {_TOLERANCE} deviations, got {gap}"
        raise RuntimeError(msg)
    return gap


def count(ways: Mapping[str, Way]) -> dict[str, Any]:
    """Count the operations of a step.

    Args:
        ways: By name.

    Returns:
        `train` and `evaluate`: GFLOP by way; `frozen`: GFLOP of a training step in frozen modules
        by way.

    Raises:
        RuntimeError: If a step on given activations has operations in a frozen module, or if the
            uncut step without its frozen modules is not the cut step: the counts are then wrong.
    """
    counts = {}
    for name, way in ways.items():
        way.classifier.train()
        counts[name] = count_training(way.classifier, way.backward)
    for name in WAYS[1:]:
        if counts[name].frozen:
            msg = f"{name}: frozen modules compute: {', '.join(counts[name].frozen_modules)}"
            raise RuntimeError(msg)
    uncut, cut = counts["uncut"], counts["cut"]
    if not uncut.frozen or uncut.total - uncut.frozen != cut.total:
        msg = f"uncut - frozen must be cut, got {uncut.total} - {uncut.frozen} and {cut.total}"
        raise RuntimeError(msg)
    return {
        "train": {name: flops.total / 1e9 for name, flops in counts.items()},
        "evaluate": {name: count_evaluation(way.evaluate) / 1e9 for name, way in ways.items()},
        "frozen": {name: flops.frozen / 1e9 for name, flops in counts.items()},
    }


def measure(
    steps: Mapping[str, Callable[[], Any]], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Time steps in turns, so that a busy machine slows all alike.

    Args:
        steps: By name; each has run once already.
        rounds: How often.

    Returns:
        Median seconds and median core-seconds, by name. What others do to a machine hardly shows
        in the latter.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    core_seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            _synchronize()
            began, used = time.perf_counter(), time.process_time()
            step()
            _synchronize()
            seconds[name].append(time.perf_counter() - began)
            core_seconds[name].append(time.process_time() - used)
    return (
        {name: statistics.median(values) for name, values in seconds.items()},
        {name: statistics.median(values) for name, values in core_seconds.items()},
    )


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def run(variant: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compare the three ways for one variant.

    Args:
        variant: A key of `ARCHITECTURES`.
        options: The command line.

    Returns:
        JSON-ready figures.
    """
    device = torch.device(options.device)
    architecture = ARCHITECTURES[variant]
    loaded = architecture.load()
    ways = make_ways(architecture, loaded, options.batch, options.unfrozen, device)
    gap = check_agreement(ways)
    gflops = count(ways)
    for way in ways.values():
        way.precision = options.precision
    for way in ways.values():  # warm up: allocators, kernels, the optimiser's state
        way.train()
        way.evaluate()
    train = measure({name: way.train for name, way in ways.items()}, options.rounds)
    evaluate = measure({name: way.evaluate for name, way in ways.items()}, options.rounds)
    return {
        "variant": variant,
        "title": architecture.title,
        "largest_logit_difference": gap,
        "gflop": gflops,
        "seconds": {"train": train[0], "evaluate": evaluate[0]},
        "core_seconds": {"train": train[1], "evaluate": evaluate[1]},
    }


def _rows(result: Mapping[str, Any]) -> list[list[str]]:
    gflop = result["gflop"]
    lines = {
        "train, s": result["seconds"]["train"],
        "train, core s": result["core_seconds"]["train"],
        "train, GFLOP": gflop["train"],
        "  of these in frozen modules": gflop["frozen"],
        "evaluate, s": result["seconds"]["evaluate"],
        "evaluate, core s": result["core_seconds"]["evaluate"],
        "evaluate, GFLOP": gflop["evaluate"],
    }
    rows = [[result["title"], *[""] * 5]]
    for name, values in lines.items():
        digits = 4 if name.endswith(" s") else 1
        ratios = [f"{values['uncut'] / values[w]:.1f}x" if values[w] else "" for w in WAYS[1:]]
        rows.append([f"  {name}", *(f"{values[w]:.{digits}f}" for w in WAYS), *ratios])
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--variant", nargs="+", choices=ARCHITECTURES, default=[*ARCHITECTURES])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=get_args(Precision), help="the device's by default")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--unfrozen", type=int, default=2, help="blocks that train, per tower")
    parser.add_argument("--threads", type=int, default=cores(), help="of the CPU")
    parser.add_argument("--rounds", type=int, default=7, help="the median of so many is told")
    parser.add_argument("--epochs", type=int, default=0, help="train whole trials so long")
    parser.add_argument("--samples", type=int, default=4000, help="of a whole trial")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.precision = options.precision or precision_of(torch.device(options.device))
    if options.epochs:
        show_trials(options)
        return
    results = [run(variant, options) for variant in options.variant]
    title = (
        f"Seconds and GFLOP of a step: batch {options.batch}, {options.unfrozen} blocks trained"
    )
    note = "Seconds are medians, the ways timed in turns; a multiplication and an addition are 2."
    rows = [row for result in results for row in _rows(result)]
    show(
        title,
        _COLUMNS,
        rows,
        {
            "machine": machine(options.device),
            "precision": options.precision,
            "results": results,
        },
        note,
    )


if __name__ == "__main__":
    main()
