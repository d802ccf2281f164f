"""Builders that share a cache: one that is killed, and two at once."""

from __future__ import annotations

import multiprocessing
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.activations.conftest import Bench
from trainables.activations.catalogue import data_path, header_path
from trainables.modules.backbones.pretrained import load_image_tower
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trainables.data.sample import Corpus, Sample
    from trainables.modules.backbones.tower import Tower

# Each starts a process that imports torch.
pytestmark = pytest.mark.slow
CUT = Cut(1)


def build_and_pause(folder: Path, samples: Sequence[Sample], pipe: Any) -> None:
    """Build in another process, which halts after the first batch until it is told to go on."""
    from trainables.activations.store import ActivationStore

    bench = Bench(load_image_tower("tiny"), samples)
    store = ActivationStore(folder)
    keys = {CUT: bench.key(CUT)}
    for step in store.build(bench.tower, bench.raw, keys, torch.device("cpu")):
        if step.done == 4:
            pipe.send(step.done)
            pipe.recv()
    pipe.send("built")


@pytest.fixture
def bench(tiny: Mapping[str, Tower], corpus: Corpus) -> Bench:
    return Bench(tiny["image"], corpus.samples)


@pytest.fixture
def builder(tmp_path: Path, corpus: Corpus) -> Iterator[tuple[Any, Any]]:
    """A process in the middle of a build, and the pipe that lets it go on."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=build_and_pause, args=(tmp_path, corpus.samples, theirs))
    process.start()
    assert pipe.poll(900)
    assert pipe.recv() == 4
    yield process, pipe
    if process.is_alive():
        process.kill()
    process.join()


def test_a_build_after_a_killed_one_is_right_and_leaves_no_partial_file(
    builder: tuple[Any, Any], bench: Bench, tmp_path: Path
) -> None:
    process, _ = builder
    assert len(list(tmp_path.glob("*.partial"))) == 1
    process.kill()
    process.join()
    # The lock died with its process, the unfinished file did not.
    assert len(list(tmp_path.glob("*.partial"))) == 1
    assert not header_path(tmp_path, bench.key(CUT).digest).exists()
    steps = bench.build(tmp_path, CUT)
    assert not steps[-1].cached
    assert list(tmp_path.glob("*.partial")) == []
    bench.check(tmp_path, CUT)


def test_of_two_builders_at_once_one_builds_and_both_read_the_same(
    builder: tuple[Any, Any], bench: Bench, tmp_path: Path
) -> None:
    process, pipe = builder
    steps: list[Any] = []
    waiting = threading.Thread(target=lambda: steps.extend(bench.build(tmp_path, CUT)))
    waiting.start()
    # However long the second waits here, it cannot end before the first one does.
    waiting.join(timeout=0.2)
    assert waiting.is_alive()
    assert steps == []
    pipe.send("go on")
    assert pipe.poll(900)
    assert pipe.recv() == "built"
    waiting.join(timeout=900)
    process.join()
    assert [step.done for step in steps] == [36]
    path = data_path(tmp_path, bench.key(CUT).digest)
    assert [found.name for found in tmp_path.glob("*.safetensors")] == [path.name]
    bench.check(tmp_path, CUT)
