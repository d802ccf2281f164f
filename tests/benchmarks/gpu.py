"""What a GPU does with the real architectures, in one command of under nine minutes.

    python -m tests.benchmarks.gpu --json gpu.json
    python -m tests.benchmarks.gpu --device cpu --small    # the same code on tiny shapes

Random weights, random samples in memory; no network, no data, no Ray. Every measurement has a time
of its own, and is told with how many batches were timed in it; an epoch is worked out from the
mean batch. There is no stacked model: five folds train in lock step, one epoch of each in turn.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import BertConfig, BlipConfig, CLIPConfig

from tests.benchmarks.architectures import (
    BERT_IDS,
    BLIP_IDS,
    CLIP_IDS,
    Architecture,
    Loaded,
    bert_and_resnet,
    blip,
    blip_base,
    clip,
)
from tests.benchmarks.pace import Pace, pace, synchronize
from tests.benchmarks.reporting import cores, machine, show
from tests.benchmarks.side_by_side import Crew
from tests.benchmarks.utilisation import Utilisation
from tests.benchmarks.ways import WAYS, make_ways
from tests.benchmarks.whole_trial import DISTINCT, Trial, activations_mb
from trainables.activations.key import FORMAT, ActivationKey
from trainables.activations.raw import RawInputs
from trainables.activations.store import ActivationStore
from trainables.modules.blocks.activations import Activations
from trainables.training.memory import peak_memory_mb
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from trainables.variants.towers import TowersConfig

FOLDS, TRIALS = 5, 40
SEARCHED = "blip_enhanced"
"""The variant for which it is worked out what a search takes."""

GRACE_EPOCHS, REDUCTION_FACTOR = 2, 3
"""The defaults of ASHA."""

_UNFROZEN, _SEED, _BATCH = 2, 0, 16
_SECONDS_EACH = 75.0  # of one architecture, where its measurements have the seconds of `SECONDS`
_WORDS = dict(zip(WAYS, ("uncut", "cut", "cut + one token"), strict=True))


class Seconds(NamedTuple):
    """How long to measure.

    Attributes:
        build: The building of activations.
        train: The training steps of each way.
        evaluate: The evaluation steps of each way.
        folds: The folds in lock step.
        beside: Trials side by side, for each number of them.
    """

    build: float = 6.0
    train: float = 3.0
    evaluate: float = 1.0
    folds: float = 12.0
    beside: float = 4.0

    def stretched(self, factor: float) -> Seconds:
        """Give the same, as many times as long."""
        return Seconds(*(factor * each for each in self))


_CLIP_LARGE = CLIPConfig(
    projection_dim=768,
    text_config={
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "projection_dim": 768,
    },
    vision_config={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "projection_dim": 768,
    },
)

REAL = (
    Architecture(SEARCHED, "BLIP-base, 224 px", BLIP_IDS, partial(blip, blip_base(224)), side=224),
    Architecture(SEARCHED, "BLIP-base, 384 px", BLIP_IDS, partial(blip, blip_base(384)), side=384),
    Architecture("clip", "CLIP ViT-B/32", CLIP_IDS, partial(clip, CLIPConfig())),
    Architecture("clip", "CLIP ViT-L/14", CLIP_IDS, partial(clip, _CLIP_LARGE)),
    Architecture(
        "early_fusion",
        "BERT-base + ResNet-18",
        BERT_IDS,
        partial(bert_and_resnet, BertConfig(), resnet18),
    ),
)
"""What is measured."""

_NARROW = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "projection_dim": 16,
}
_TEXT = _NARROW | {"vocab_size": 50, "encoder_hidden_size": 32}
_IMAGE = _NARROW | {"image_size": 32, "patch_size": 8}
_SMALL_IDS = (40, 41, 0)
_SMALL_BERT = BertConfig(**{name: value for name, value in _TEXT.items() if "_dim" not in name})


def _small(architecture: Architecture) -> Architecture:
    """Give the same variant and title with towers that run anywhere in no time."""
    text = _TEXT | {"eos_token_id": _SMALL_IDS[1]}
    makes: dict[str, Callable[[Path], Any]] = {
        SEARCHED: partial(
            blip, BlipConfig(text_config=text, vision_config=_IMAGE, image_text_hidden_size=16)
        ),
        "clip": partial(
            clip, CLIPConfig(text_config=text, vision_config=_IMAGE, projection_dim=16)
        ),
        "early_fusion": partial(
            bert_and_resnet, _SMALL_BERT, partial(ResNet, BasicBlock, [1, 1, 1, 1])
        ),
    }
    variant, title = architecture.variant, architecture.title
    return Architecture(variant, title, _SMALL_IDS, makes[variant], 32, 5, 40)


SMALL = tuple(map(_small, REAL))
"""The same in tiny shapes, to try the benchmark."""


class InMemory(RawInputs):
    """Inputs that are repeated: nothing is decoded.

    Args:
        distinct: The inputs.
        samples: How many they are repeated to.
    """

    def __init__(self, distinct: Activations, samples: int) -> None:
        self.lengths = None
        self._distinct, self._samples = distinct.values, samples

    def __len__(self) -> int:
        return self._samples

    def gather(self, rows: Tensor) -> Activations:
        return Activations(self._distinct[rows % len(self._distinct)])


@dataclass(frozen=True)
class Bench:
    """One architecture under test.

    Attributes:
        architecture: Which.
        loaded: Its backbones.
        config: The hand-tuned hyperparameters with two blocks of each tower open.
        samples: In memory.
        device: Where.
        seconds: How long to measure.
    """

    architecture: Architecture
    loaded: Loaded
    config: TowersConfig
    samples: int
    device: torch.device
    seconds: Seconds

    def build(self) -> dict[str, Any]:
        """Build the image tower's activations on disk, all of them or for as long as there is.

        Returns:
            `images_per_second` and `images`, of how many.
        """
        cut = VARIANTS[self.architecture.variant].readings(self.config)["image"].cut.prefix
        pixels = self.architecture.inputs(DISTINCT, _SEED)["image"]
        done, elapsed = 0, 0.0
        for count in (DISTINCT, self.samples):  # the first to warm up
            key = ActivationKey("image", "", cut.place, {}, f"{count}", "float16", {}, FORMAT)
            with tempfile.TemporaryDirectory() as folder:
                store, raw = ActivationStore(Path(folder)), InMemory(pixels, count)
                began = time.perf_counter()
                steps = store.build(self.loaded.towers["image"], raw, {cut: key}, self.device)
                for step in steps:
                    done, elapsed = step.done, time.perf_counter() - began
                    if elapsed > self.seconds.build:
                        break
                steps.close()  # type: ignore[attr-defined] # it is a generator
        return {"images_per_second": done / elapsed, "images": done}

    def ways(self) -> dict[str, Any]:
        """Time steps of the three ways to train.

        Returns:
            By way: `seconds` of an epoch, and the `train_batches` and `evaluation_batches` timed.
        """
        batch = self.config.batch_size
        ways = make_ways(self.architecture, self.loaded, batch, _UNFROZEN, self.device)
        told = {}
        for name in WAYS:
            train = pace(ways[name].train, self.seconds.train)
            evaluate = pace(ways[name].evaluate, self.seconds.evaluate)
            told[name] = {
                "seconds": epoch_seconds(train, evaluate, self.samples, batch),
                "train_batches": train.count,
                "evaluation_batches": evaluate.count,
            }
            del ways[name]
        return told

    def folds(self, trial: Trial, epoch: float) -> dict[str, Any]:
        """Train an epoch of five folds in lock step, or a part of it.

        Args:
            trial: What trains.
            epoch: About what an epoch of one fold takes, in seconds.

        Returns:
            `seconds` of a whole epoch of all folds, `batches` timed, `gpu_busy_percent` (None
            where nobody says it), `peak_mb` and `activations_mb`.
        """
        batch, whole = self.config.batch_size, len(trial.fold(0).train)
        rows = timed_rows(whole, batch, self.seconds.folds / (FOLDS * epoch))
        data = trial.data(self.device, "auto")
        trial.run(data, [trial.fold(0, train=min(whole, 2 * batch))]).next_epoch()  # warm-up
        _reset_memory()
        run = trial.run(data, [trial.fold(k, train=rows) for k in range(FOLDS)])
        synchronize()
        with Utilisation() as utilisation:
            seconds = run.next_epoch().metrics["epoch_seconds"]
        return {
            "seconds": seconds * whole / rows,
            "batches": FOLDS * math.ceil(rows / batch),
            "gpu_busy_percent": utilisation.percent,
            "peak_mb": peak_memory_mb(self.device),
            "activations_mb": activations_mb(data),
        }


def epoch_seconds(train: Pace, evaluate: Pace, samples: int, batch: int) -> float:
    """Work out an epoch: training on four fifths of the samples, validation of the fifth.

    Args:
        train: A training step.
        evaluate: An evaluation step, of as many samples.
        samples: How many there are.
        batch: Samples per step.

    Returns:
        Seconds.
    """
    validated = samples // FOLDS
    steps = math.ceil((samples - validated) / batch)
    return steps * train.seconds + math.ceil(validated / batch) * evaluate.seconds


def timed_rows(whole: int, batch: int, share: float) -> int:
    """Say on how many samples to train where there is no time for all.

    Args:
        whole: How many there are.
        batch: Samples per step.
        share: The part for which there is time; more than 1 where there is plenty.

    Returns:
        A multiple of the batch, at least two batches, unless it is all.
    """
    return min(whole, max(2, int(share * whole / batch)) * batch)


def asha_epochs(
    trials: int, most: int, grace: int = GRACE_EPOCHS, factor: int = REDUCTION_FACTOR
) -> int:
    """Count the epochs of a search where at each rung one trial in `factor` goes on.

    Args:
        trials: How many begin.
        most: Epochs of a whole trial.
        grace: Epochs before the first rung; those to each later one are `factor` times as many.
        factor: One trial in this many goes on, rounded up.

    Returns:
        Epochs of all trials together.
    """
    total, done, rung = 0, 0, grace
    while done < most:
        until = min(rung, most)
        total += trials * (until - done)
        trials, done, rung = math.ceil(trials / factor), until, rung * factor
    return total


def search_hours(
    epoch: float, build: float, rates: Mapping[int, float], most: int
) -> dict[str, Any]:
    """Work out what forty trials of five folds take.

    Args:
        epoch: Seconds of an epoch of five folds.
        build: Seconds of building the activations once.
        rates: Samples per second of all trials, by how many run side by side.
        most: Epochs of a whole trial.

    Returns:
        `side_by_side`, the number of trials that is fastest; hours in which all trials run
        whole: `one_at_a_time` and `in_full` with as many side by side; and `with_asha`.
    """
    alone = rates.get(1, 0.0)
    count = max(rates, key=lambda n: rates[n]) if alone else 1
    gain = rates[count] / alone if alone else 1.0

    def hours(epochs: int, gain: float) -> float:
        return (build + epochs * epoch / gain) / 3600

    return {
        "side_by_side": count,
        "one_at_a_time": hours(TRIALS * most, 1.0),
        "in_full": hours(TRIALS * most, gain),
        "with_asha": hours(asha_epochs(TRIALS, most), gain),
    }


class Deadline:
    """When nothing more is begun.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, >= 0."""
        return max(0.0, self._end - time.monotonic())

    def run(self, work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        """Measure something, unless the time is up.

        Args:
            work: Measures it.
            arguments: Of that.

        Returns:
            Its figures; `left_out` says why there are none.
        """
        if not self.left:
            return {"left_out": "the time was up"}
        try:
            return work(*arguments)
        except RuntimeError as error:  # what PyTorch raises, where memory is too small for one
            return {"left_out": " ".join(str(error).split())[:200]}
        finally:
            _reset_memory()


def measure(
    architecture: Architecture,
    crew: Crew,
    until: Deadline,
    seconds: Seconds,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Take all measurements of one architecture.

    Args:
        architecture: Which.
        crew: Trains side by side.
        until: When nothing more is begun.
        seconds: How long to measure.
        options: The command line.

    Returns:
        JSON-ready figures.
    """
    device, config = (
        torch.device(options.device),
        replace(architecture.config(_UNFROZEN), batch_size=_BATCH),
    )
    loaded = architecture.load()
    bench = Bench(architecture, loaded, config, options.samples, device, seconds)
    result: dict[str, Any] = {"title": architecture.title, "variant": architecture.variant}
    result["build"] = until.run(bench.build)
    trial = Trial.of(architecture, loaded.towers, config, options.samples, device)
    result["epoch"] = until.run(bench.ways)  # uses the library's models up
    epoch = result["epoch"].get(WAYS[-1], {"seconds": 10.0})["seconds"]
    result["folds"] = until.run(bench.folds, trial, epoch)
    result["side_by_side"] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trial")
        torch.save(trial, path)
        for count in options.side_by_side:
            told = until.run(_side_by_side, crew, path, count, seconds.beside)
            result["side_by_side"][str(count)] = told
    return result | {"search": derived(result, config.max_epochs, options.samples)}


def _side_by_side(crew: Crew, trial: Path, count: int, seconds: float) -> dict[str, Any]:
    did = crew.train(trial, count, seconds)
    return {
        "samples_per_second": sum(each.samples / each.seconds for each in did),
        "peak_mb": max(each.peak_mb for each in did),
        "samples": sum(each.samples for each in did),
    }


def derived(result: Mapping[str, Any], most: int, samples: int) -> dict[str, Any]:
    """Work out from the figures of an architecture what a search of it takes.

    Args:
        result: The figures.
        most: Epochs of a whole trial.
        samples: How many there are.

    Returns:
        As `search_hours` gives it; nothing where a figure is missing or another variant is.
    """
    build, folds = result["build"], result["folds"]
    if result["variant"] != SEARCHED or "left_out" in build or "left_out" in folds:
        return {}
    rates = {
        int(count): told["samples_per_second"]
        for count, told in result["side_by_side"].items()
        if "left_out" not in told
    }
    return search_hours(folds["seconds"], samples / build["images_per_second"], rates, most)


def _reset_memory() -> None:
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def table_rows(
    results: Sequence[Mapping[str, Any]], side_by_side: Sequence[int]
) -> list[list[str]]:
    """Lay the figures out: a row for each measure, a column for each architecture.

    Args:
        results: As `measure` gives them.
        side_by_side: Numbers of trials.

    Returns:
        The cells.
    """
    measures: dict[str, Callable[[Any], str]] = {
        "build, images/s": lambda r: f"{r['build']['images_per_second']:,.0f}",
        **{f"epoch {name}, s": partial(_epoch, way) for way, name in _WORDS.items()},
        f"epoch of {FOLDS} folds, s": lambda r: f"{r['folds']['seconds']:.2f}",
        "  GPU busy": lambda r: f"{r['folds']['gpu_busy_percent']:.0f} %",
        "  peak memory, MB": lambda r: f"{r['folds']['peak_mb']:,.0f}",
        "  of it activations, MB": lambda r: f"{r['folds']['activations_mb']:,.0f}",
        **{
            f"{count} side by side, samples/s": partial(_rate, str(count))
            for count in side_by_side
        },
        "batches timed": _batches,
        f"{TRIALS} trials in full, h": lambda r: f"{r['search']['in_full']:.2f}",
        f"{TRIALS} trials with ASHA, h": lambda r: f"{r['search']['with_asha']:.2f}",
    }
    return [[name, *(_cell(cell, one) for one in results)] for name, cell in measures.items()]


def _epoch(way: str, result: Any) -> str:
    return f"{result['epoch'][way]['seconds']:.2f}"


def _rate(count: str, result: Any) -> str:
    return f"{result['side_by_side'][count]['samples_per_second']:,.0f}"


def _batches(result: Any) -> str:
    steps = [result["epoch"][way]["train_batches"] for way in WAYS]
    return "/".join(map(str, [*steps, result["folds"]["batches"]]))


def _cell(cell: Callable[[Any], str], result: Mapping[str, Any]) -> str:
    try:
        return cell(result)
    except (KeyError, TypeError, ValueError):  # left out, or not to be had
        return "-"


def left_out(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what could not be measured, and why.

    Args:
        results: As `run` gives them.

    Returns:
        One sentence each.
    """
    said = []
    for result in results:
        parts = {name: result[name] for name in ("build", "epoch", "folds")}
        beside = result["side_by_side"].items()
        parts |= {f"{count} side by side": told for count, told in beside}
        said += [
            f"{result['title']}, {name}: {told['left_out']}"
            for name, told in parts.items()
            if "left_out" in told
        ]
    return said


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all architectures.

    Args:
        options: The command line.

    Returns:
        JSON-ready figures.
    """
    until, began, results = Deadline(60 * options.minutes), time.monotonic(), []
    architectures = SMALL if options.small else REAL
    usual = Seconds(*[options.seconds] * len(Seconds())) if options.seconds else Seconds()
    with Crew(max(options.side_by_side), torch.device(options.device)) as crew:
        for done, architecture in enumerate(architectures):
            slot = until.left / (len(architectures) - done)
            if not slot:
                break
            seconds = usual.stretched(min(1.0, max(0.2, slot / _SECONDS_EACH)))
            results.append(measure(architecture, crew, until, seconds, options))
    return {
        "machine": machine(options.device),
        "samples": options.samples,
        "results": results,
        "never_begun": [one.title for one in architectures[len(results) :]],
        "seconds": time.monotonic() - began,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark.

    Args:
        arguments: The command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--small", action="store_true", help="tiny shapes, to try it")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=7.5, help="nothing is begun afterwards")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--side-by-side", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--threads", type=int, default=cores(), help="of the CPU")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    record = run(options)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1))
    columns = ("", *(result["title"] for result in record["results"]))
    note = [
        f"Batches of {_BATCH} are timed for some seconds, in the order uncut, cut, one token,"
        f" folds; an epoch of {options.samples:,} samples is worked out from them. The folds train"
        f" in lock step. Computed from the measured: {TRIALS} trials of {FOLDS} folds of"
        f" {SEARCHED}, as many side by side as is fastest; with ASHA, one in three goes on at each"
        " rung.",
        *(f"left out: {title}: the time was up" for title in record["never_begun"]),
        *(f"left out: {said}" for said in left_out(record["results"])),
    ]
    title = f"{options.samples:,} samples, {record['seconds']:.0f} s in all"
    rows = table_rows(record["results"], options.side_by_side)
    show(title, columns, rows, record, "\n".join(note))


if __name__ == "__main__":
    main()
