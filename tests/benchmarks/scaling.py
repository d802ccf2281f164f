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

from analysis.results import RunFolder
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import run_module, search_arguments, trial_times

_COLUMNS = (
    "trials",
    "seconds",
    "s/trial",
    "overhead, s/trial",
    "first tenth",
    "last tenth",
    "driver peak, MB",
    "run folder, MB",
)


def measure(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run one search.

    Args:
        trials: How many, >= 20.
        seed: Of the search.
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
        text_unfrozen=0,
        image_unfrozen=0,
    )
    words = search_arguments(options, folder, folder.parent / "cache")
    words[words.index("lab")] = "stratified"
    ran = run_module("search.run", [*words, "--max-concurrent", "1"])
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
        "driver_peak_mb": ran.peak_mb,
        "run_folder_mb": size / 1e6,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if min(options.trials) < 20:
        parser.error(f"--trials must be >= 20, got {min(options.trials)}")
    with tempfile.TemporaryDirectory() as name:
        results = [measure(n, options.seed, Path(name, f"{n}")) for n in options.trials]
    rows = [
        [
            f"{r['trials']:,}",
            f"{r['seconds']:.0f}",
            f"{r['seconds_per_trial']:.3f}",
            f"{r['overhead_per_trial']:.3f}",
            f"{r['overhead_first_tenth']:.3f}",
            f"{r['overhead_last_tenth']:.3f}",
            f"{r['driver_peak_mb']:.0f}",
            f"{r['run_folder_mb']:.1f}",
        ]
        for r in results
    ]
    record: dict[str, Any] = {"machine": machine(), "results": results}
    note = "Overhead: from the end of a trial to the end of the next, less its epochs."
    if len(results) > 1:
        small, large = results[0], results[-1]
        more = large["trials"] - small["trials"]
        growth = 1e3 * (large["driver_peak_mb"] - small["driver_peak_mb"]) / max(1, more)
        record["driver_kb_per_trial"] = growth
        note += f" The driver grows by {growth:.1f} kB per trial."
    show("Searches of trivial trials, one at a time", _COLUMNS, rows, record, note)


if __name__ == "__main__":
    main()
