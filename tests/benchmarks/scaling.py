"""What a trial costs besides its training, and whether that grows with the number of trials.

    python -m tests.benchmarks.scaling --trials 100 1000

Each search is `python -m search.run` on the demo data with tiny towers that are frozen whole, for
one epoch, one trial at a time: nearly nothing is trained, so that what is left is the search. The
first trial pays for the worker's start and is left out of the figures per trial.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from analysis.run_folder.folder import RunFolder
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import Ran, run_module, search_arguments, trial_times

_COLUMNS = (
    "trials",
    "seconds",
    "s/trial",
    "overhead, s/trial",
    "first tenth",
    "last tenth",
    "driver at trial 100, MB",
    "at the last, MB",
    "peak, MB",
    "run folder, MB",
)


_EARLY = 100  # by then all is loaded that a search needs


def measure(trials: int, seed: int, sampler: str, folder: Path) -> dict[str, Any]:
    """Run one search.

    Args:
        trials: How many, >= 20.
        seed: Of the search.
        sampler: Draws its trials.
        folder: An empty folder; `cache` beside it is shared.

    Returns:
        JSON-ready figures; overheads are the time from the end of one trial to the end of the
        next, less what the next spent in its epochs.
    """
    options = argparse.Namespace(
        data="demo",
        backbone=[],
        trials=trials,
        epochs=1,
        seed=seed,
        precision="auto",
        text_unfrozen=0,
        image_unfrozen=0,
    )
    words = search_arguments(options, folder, folder.parent / "cache")
    words[words.index("lab")] = "stratified"
    ran = run_module("search.run", [*words, "--sampler", sampler, "--max-concurrent", "1"])
    ends = np.sort([end for _, end in trial_times(folder)])
    history = RunFolder(folder).read_history()
    training = history.groupby("trial")["epoch_seconds"].sum().sort_index().to_numpy()
    overheads = np.diff(ends) - training[1:]
    tenth = len(overheads) // 10
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "trials": trials,
        "seconds": ran.seconds,
        "seconds_per_trial": float(np.diff(ends).mean()),
        "training_per_trial": float(training[1:].mean()),
        "overhead_per_trial": float(overheads.mean()),
        "overhead_first_tenth": float(overheads[:tenth].mean()),
        "overhead_last_tenth": float(overheads[-tenth:].mean()),
        "driver_mb_at_100": _held(ran, ends[min(_EARLY, trials) - 1]),
        "driver_mb_at_last": _held(ran, ends[-1]),
        "driver_peak_mb": ran.peak_mb,
        "run_folder_mb": size / 1e6,
    }


def _held(ran: Ran, moment: float) -> float:
    """What the driver held last before a moment, in MB."""
    return ran.held_mb[max(time for time in ran.held_mb if time <= moment)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampler", default="tpe", help="an Optuna sampler")
    options = parser.parse_args()
    if min(options.trials) < 20:
        parser.error(f"--trials must be >= 20, got {min(options.trials)}")
    with tempfile.TemporaryDirectory() as name:
        results = [
            measure(n, options.seed, options.sampler, Path(name, f"{n}")) for n in options.trials
        ]
    rows = [
        [
            f"{r['trials']:,}",
            f"{r['seconds']:.0f}",
            f"{r['seconds_per_trial']:.3f}",
            f"{r['overhead_per_trial']:.3f}",
            f"{r['overhead_first_tenth']:.3f}",
            f"{r['overhead_last_tenth']:.3f}",
            f"{r['driver_mb_at_100']:.0f}",
            f"{r['driver_mb_at_last']:.0f}",
            f"{r['driver_peak_mb']:.0f}",
            f"{r['run_folder_mb']:.1f}",
        ]
        for r in results
    ]
    record: dict[str, Any] = {"machine": machine(), "results": results}
    note = "Overhead: from the end of a trial to the end of the next, less its epochs."
    note += " The peak is the report's, at the end."
    show("Searches of trivial trials, one at a time", _COLUMNS, rows, record, note)


if __name__ == "__main__":
    main()
