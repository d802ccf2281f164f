"""Trials per hour: a search of ours against the plain way to run the same configs on Ray Tune.

    python -m tests.benchmarks.trials_per_hour --data DATA --backbone text=DIR image=DIR \\
        --trials 12 --plain-trials 2 --epochs 2 --text-unfrozen 2 --image-unfrozen 2

Ours is `python -m search.run` as a user starts it, timed whole: imports, Ray, reading the data,
building the activations in an empty cache, all trials. The plain way gets the configs of our
trials; it may run fewer of them, and its time for the rest is then its time per trial.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.run_folder.folder import RunFolder
from tests.benchmarks.reporting import cores, machine, show
from tests.benchmarks.searches import (
    add_search_options,
    read_configs,
    run_module,
    search_arguments,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# Floating-point sums and the order of dropout draws differ; the scores must not.
_TOLERANCE = 0.01


def run_ours(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the search.

    Args:
        options: The command line.
        folder: An empty folder.

    Returns:
        `seconds`, `core_seconds`, `trials`, `per_hour`, `configs`, `best` objective and `epochs`
        per config, and the `precision`.
    """
    out = folder / "run"
    ran = run_module("search.run", search_arguments(options, out, folder / "cache"))
    trials = RunFolder(out).read_trials().sort_values("trial")
    return {
        "seconds": ran.seconds,
        "core_seconds": ran.core_seconds,
        "trials": options.trials,
        "per_hour": 3600 * options.trials / ran.seconds,
        "configs": read_configs(out),
        "best": trials["objective"].tolist(),
        "epochs": trials["epochs"].tolist(),
        "precision": RunFolder(out).read_search().precision.training,
    }


def run_plain(
    options: argparse.Namespace, folder: Path, configs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Run the first configs the plain way.

    Args:
        options: The command line.
        folder: An empty folder.
        configs: Those of our trials.

    Returns:
        `seconds` and `core_seconds` measured, both also `scaled_` to as many trials as ours,
        `trials` run, `per_hour`, and the `best` objective per config.
    """
    folder.mkdir()
    chosen = list(configs[: options.plain_trials])
    slots = min(cores(), len(chosen))
    (folder / "configs.json").write_text(json.dumps(chosen))
    words = ["--configs", str(folder / "configs.json"), "--result", str(folder / "result.json")]
    words += ["--folder", str(folder), "--slots", str(slots), "--cpus", str(cores() // slots)]
    words += ["--workers", str(options.workers), "--"]
    copied = search_arguments(options, folder / "none", folder / "none")
    ran = run_module("tests.benchmarks.plain_search", words + copied)
    result = json.loads((folder / "result.json").read_text())
    # Start-up is paid once, however many the trials.
    rest = (len(configs) / len(chosen) - 1) * result["trials_seconds"]
    return {
        "seconds": ran.seconds,
        "trials": len(chosen),
        "scaled_seconds": ran.seconds + rest,
        "core_seconds": ran.core_seconds,
        "scaled_core_seconds": ran.core_seconds * (1 + rest / ran.seconds),
        "per_hour": 3600 * len(configs) / (ran.seconds + rest),
        "best": result["best"],
    }


def _rows(ours: dict[str, Any], plain: dict[str, Any], ratio: float) -> list[list[str]]:
    trials = f"{ours['trials']}", f"{plain['trials']}"
    scaled = f"{plain['scaled_seconds']:.0f}"
    rows = [
        ["trials run", *trials, ""],
        ["seconds measured", f"{ours['seconds']:.0f}", f"{plain['seconds']:.0f}", ""],
        [f"seconds for {trials[0]} trials", f"{ours['seconds']:.0f}", scaled, ""],
        [
            "trials per hour",
            f"{ours['per_hour']:.1f}",
            f"{plain['per_hour']:.1f}",
            f"{ratio:.1f}x",
        ],
    ]
    cores_ours, cores_plain = ours["core_seconds"], plain["scaled_core_seconds"]
    core_ratio = f"{cores_plain / cores_ours:.1f}x"
    rows.append(["core-seconds for them", f"{cores_ours:.0f}", f"{cores_plain:.0f}", core_ratio])
    for i, (score, other) in enumerate(zip(ours["best"], plain["best"], strict=False)):
        gap = f"{score - other:+.4f}"
        rows.append([f"best val_weighted_f1, trial {i}", f"{score:.4f}", f"{other:.4f}", gap])
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_search_options(parser, trials=12, epochs=2)
    parser.add_argument("--plain-trials", type=int, default=2, help="configs run the plain way")
    parser.add_argument("--workers", type=int, default=1, help="processes of a plain DataLoader")
    options = parser.parse_args()
    if not 1 <= options.plain_trials <= options.trials:
        parser.error(f"--plain-trials must be in [1, {options.trials}]")
    with tempfile.TemporaryDirectory() as name:
        ours = run_ours(options, Path(name))
        plain = run_plain(options, Path(name, "plain"), ours["configs"])
    ratio = ours["per_hour"] / plain["per_hour"]
    gaps = [abs(a - b) for a, b in zip(ours["best"], plain["best"], strict=False)]
    agreed = "agree" if max(gaps) <= _TOLERANCE else "DO NOT AGREE"
    note = f"Scores {agreed} within {_TOLERANCE}: the largest gap is {max(gaps):.4f}."
    if plain["trials"] < ours["trials"]:
        note += f" The plain way ran {plain['trials']} trials, scaled to {ours['trials']}."
    title = f"{options.trials} trials of {options.epochs} epochs, all included, cache empty"
    record = {
        "machine": machine(),
        "precision": ours["precision"],
        "ratio": ratio,
        "largest_gap": max(gaps),
    }
    rows = _rows(ours, plain, ratio)
    show(title, ("", "ours", "plain", ""), rows, record | {"ours": ours, "plain": plain}, note)


if __name__ == "__main__":
    main()
