"""How much memory a search of very many small pairs takes: it must not grow with their number.

    python -m tests.benchmarks.memory --pairs 60000

Writes pairs of a short text and a small image, no two alike, then runs one trial of one epoch on
tiny towers as a user does. Told is the peak of every kind of process: the driver, the worker that
builds the frozen activations, the one that trains.
"""

from __future__ import annotations

import argparse
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import run_module
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS = ("good", "bad", "day", "night", "sun", "rain", "home", "away", "never", "always")


def write_pairs(folder: Path, count: int, side: int) -> None:
    """Write a data set in the lab's layout.

    Args:
        folder: Where to; empty.
        count: Pairs.
        side: Of the images, in pixels.
    """
    (folder / "data").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["guid,tag"]
    for number in range(count):
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=80)
        (folder / "data" / f"{number}.jpg").write_bytes(file.getvalue())
        words = " ".join(random.choice(_WORDS, 8))
        (folder / "data" / f"{number}.txt").write_text(f"{number} {words}")
        rows.append(f"{number},{SENTIMENTS.names[number % len(SENTIMENTS.names)]}")
    (folder / "train.txt").write_text("\n".join(rows))


def words_of(options: argparse.Namespace, data: Path, folder: Path) -> list[str]:
    """Spell out the search.

    Args:
        options: The command line.
        data: The data set.
        folder: For the results and the cache.

    Returns:
        The words after `python -m search.run`.
    """
    words = ["--model", "early_fusion", "--data", str(data), "--out", str(folder / "run")]
    words += ["--backbone", "text=tiny", "--backbone", "image=tiny", "--trials", "1"]
    words += ["--image-size", str(options.side), "--epochs", "1", "--split", "stratified"]
    words += ["--fix", f"text_unfrozen_layers={options.unfrozen}"]
    words += ["--fix", f"image_unfrozen_layers={options.unfrozen}"]
    words += [] if options.retrain else ["--no-retrain"]
    return words + (["--no-cache"] if options.no_cache else ["--cache", str(folder / "cache")])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark.

    Args:
        arguments: The command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--unfrozen", type=int, default=0, help="layers of each tower that train")
    parser.add_argument("--retrain", action="store_true", help="with the baseline and what ships")
    parser.add_argument("--no-cache", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder / "data set", options.pairs, options.side)
        ran = run_module("search.run", words_of(options, folder / "data set", folder))
        cached = sum(path.stat().st_size for path in folder.glob("cache/*.safetensors"))
    rows = [["driver", f"{ran.peak_mb:,.0f}"]]
    rows += [[name, f"{peak:,.0f}"] for name, peak in sorted(ran.workers_mb.items())]
    show(
        f"{options.pairs:,} pairs of {options.side} px, {cached / 1e6:,.0f} MB of activations",
        ("process", "peak MB"),
        rows,
        {
            "machine": machine(),
            "pairs": options.pairs,
            "driver_mb": ran.peak_mb,
            "workers_mb": dict(ran.workers_mb),
            "seconds": ran.seconds,
        },
        "Peaks are resident memory, with libraries and mapped files.",
    )


if __name__ == "__main__":
    main()
