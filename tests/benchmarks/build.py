"""How fast frozen activations are built, against the bare limit of decoding and of computing.

    python -m tests.benchmarks.build --data DATA --backbone text=DIR image=DIR --samples 1000

Each image must be decoded and run through the prefix. On a GPU the two go on side by side, so that
the slower one is the limit: min(d, f) images/s for d decoded and f computed. On a CPU they share
the cores: an image takes 1/d + 1/f seconds of all of them, and the limit is 1 / (1/d + 1/f). Both
rates are measured bare, with all cores and nothing else at work: no file is written, no key made.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tests.benchmarks.reporting import cores, machine, show
from tests.benchmarks.searches import add_search_options, make_experiment, search_arguments
from trainables.activations.raw import RawImages
from trainables.worker import Workbench

if TYPE_CHECKING:
    from trainables.experiment import Experiment
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Cut

_DECODED_ROWS = 64  # enough that threads hardly ever wait for the last of a batch
_COMPUTED_ROWS = {"cpu": (4, 16), "cuda": (64, 256)}  # the faster one is the limit


def decode(experiment: Experiment) -> float:
    """Decode and prepare all images with one thread per core.

    Args:
        experiment: Samples and preparation.

    Returns:
        Images per second.
    """
    samples = experiment.corpus.samples
    images = RawImages(samples, experiment.inputs, threads=cores())
    began = time.perf_counter()
    for rows in torch.arange(len(samples)).split(_DECODED_ROWS):
        images.gather(rows)
    return len(samples) / (time.perf_counter() - began)


def forward(bench: Workbench, cut: Cut, rows: int) -> float:
    """Run the prefix on pixels that are ready on the device.

    Args:
        bench: The towers.
        cut: Where the prefix ends.
        rows: Images per pass.

    Returns:
        Images per second.
    """
    total, device = len(bench.experiment.corpus.samples), bench.device
    prefix = bench.towers["image"].prefix(cut).to(device)
    pixels: Activations = bench.raw("image").gather(torch.arange(min(rows, total))).to(device)
    with torch.inference_mode():
        prefix(pixels).values.cpu()  # warm up
        began = time.perf_counter()
        for _ in range(0, total, rows):
            prefix(pixels).values.cpu()
    return -(-total // rows) * rows / (time.perf_counter() - began)


def build(experiment: Experiment, cut: Cut, device: torch.device, cache: Path) -> float:
    """Build the activations in an empty cache, whole: decoded, computed, written, checked.

    Args:
        experiment: Samples, preparation and weights.
        cut: Where the prefix ends.
        device: Where it runs.
        cache: A folder that does not exist.

    Returns:
        Images per second, loading the weights not included.
    """
    bench = Workbench(replace(experiment, cache=cache), device)
    bench.key("image", cut)  # loads and hashes the weights
    began = time.perf_counter()
    for _ in bench.build("image", [cut]):
        pass
    return len(experiment.corpus.samples) / (time.perf_counter() - began)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the three rates in turns.

    Args:
        options: The command line.
        folder: An empty folder.

    Returns:
        JSON-ready: rates in images/s (medians over the rounds), the limit and the share of it.
    """
    device = torch.device(options.device)
    experiment = make_experiment(
        search_arguments(options, folder / "run", folder / "cache"), options.samples
    )
    bench = Workbench(experiment, device)
    cut = bench.variant.readings(bench.variant.hand_tuned)["image"].cut
    if options.image_unfrozen is not None:
        cut = replace(cut, unfrozen_layers=options.image_unfrozen)
    rates: dict[str, list[float]] = {"decode": [], "forward": [], "build": []}
    for i in range(options.rounds):
        rates["decode"].append(decode(experiment))
        rows = _COMPUTED_ROWS[device.type]
        rates["forward"].append(max(forward(bench, cut, count) for count in rows))
        rates["build"].append(build(experiment, cut, device, folder / f"cache-{i}"))
    decoded, computed, built = (statistics.median(values) for values in rates.values())
    apart = device.type == "cuda"
    limit = min(decoded, computed) if apart else 1 / (1 / decoded + 1 / computed)
    return {
        "samples": len(experiment.corpus.samples),
        "cut": cut.place,
        "decode_per_second": decoded,
        "forward_per_second": computed,
        "limit_per_second": limit,
        "build_per_second": built,
        "share_of_limit": built / limit,
        "rounds": rates,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_search_options(parser, trials=1, epochs=1)
    parser.add_argument("--samples", type=int, default=1000, help="labelled samples to build")
    parser.add_argument("--rounds", type=int, default=3, help="the medians of so many are told")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(cores())
    with tempfile.TemporaryDirectory() as name:
        result = compare(options, Path(name))
    lines = {
        "decode and prepare alone": result["decode_per_second"],
        "prefix alone": result["forward_per_second"],
        "limit of both": result["limit_per_second"],
        "build": result["build_per_second"],
    }
    limit = result["limit_per_second"]
    rows = [[name, f"{rate:.1f}", f"{rate / limit:.2f}"] for name, rate in lines.items()]
    title = f"Building {result['samples']} images' activations, {result['cut']}"
    note = "The limit is min(decode, prefix) on a GPU; on a CPU both share the cores: harmonic."
    record = {"machine": machine(options.device), "precision": "float32", **result}
    show(title, ("", "images/s", "of the limit"), rows, record, note)


if __name__ == "__main__":
    main()
