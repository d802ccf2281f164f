"""The pass over all samples: what it holds at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.activations.conftest import CPU, Bench
from trainables.activations import forward as forward_module
from trainables.activations.forward import forward
from trainables.modules.backbones.pretrained import load_text_tower
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.data.sample import Corpus

THREADS = 2


@pytest.fixture
def pairs_of_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Batches of two rows, computed by two threads."""
    monkeypatch.setattr(forward_module, "_ROWS", {"image": {"cpu": 2}, "text": {"cpu": 2}})
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(threads)


def most_ahead(bench: Bench, forwards: list[int]) -> int:
    """Read slowly, and give the most batches that were computed but not yet read."""
    most = 0
    for read, _ in enumerate(forward(bench.tower, bench.raw, [Cut(1)], CPU), 1):
        time.sleep(0.02)  # what may be computed ahead is computed now
        most = max(most, len(forwards) - read)
    return most


@pytest.mark.usefixtures("pairs_of_rows")
@pytest.mark.parametrize("role", ["text", "image"])
def test_no_more_is_computed_ahead_than_memory_allows(
    benches: Mapping[str, Bench],
    forwards: list[int],
    monkeypatch: pytest.MonkeyPatch,
    role: str,
) -> None:
    monkeypatch.setattr(forward_module, "_AHEAD_BYTES", 1)
    assert most_ahead(benches[role], forwards) <= THREADS
    batches = len(forwards)
    assert batches > 3 * THREADS
    forwards.clear()
    monkeypatch.setattr(forward_module, "_AHEAD_BYTES", 10**9)
    assert most_ahead(benches[role], forwards) > 2 * THREADS
    assert len(forwards) == batches


@pytest.mark.usefixtures("pairs_of_rows")
def test_however_small_batches_are_only_so_many_wait(
    benches: Mapping[str, Bench], forwards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_module, "_AHEAD_BATCHES", 4)
    assert most_ahead(benches["image"], forwards) <= 4
    assert len(forwards) > 3 * 4


def test_what_waits_holds_its_own_values_and_no_more(
    weights: Mapping[str, str], corpus: Corpus
) -> None:
    bench = Bench(load_text_tower(weights["bert"]), corpus.samples)
    for _, outputs in forward(bench.tower, bench.raw, [Cut(0), Cut(0, "mean"), Cut(1)], CPU):
        for cut, activations in outputs.items():
            values = activations.values  # of one token, which the library gives as a view
            assert values.untyped_storage().nbytes() == values.nbytes, cut


@pytest.mark.usefixtures("pairs_of_rows")
def test_what_was_to_be_computed_is_dropped_when_the_reader_stops(
    benches: Mapping[str, Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, run = benches["image"], forward_module.Prefixes.traceable
    begun: list[int] = []

    def slowly(*args: Any) -> Any:
        begun.append(1)
        time.sleep(0.02)
        return run(*args)

    monkeypatch.setattr(forward_module.Prefixes, "traceable", slowly)
    steps = forward(bench.tower, bench.raw, [Cut(1)], CPU)
    for _ in range(THREADS + 1):  # by now all batches are handed out
        next(steps)
    steps.close()  # type: ignore[attr-defined] # it is a generator
    assert len(begun) < len(bench.rows) // 2


def test_a_tower_that_was_run_elsewhere_stays_on_the_host(
    benches: Mapping[str, Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benches["image"]  # text looks at values, which the stand-in for a GPU has not
    before = bench.tower.fingerprint
    monkeypatch.setattr(forward_module, "_HOST", torch.device("meta"))  # nothing to bring back
    cuts = [Cut(1), Cut(0, "cls")]
    seen = list(forward(bench.tower, bench.raw, cuts, torch.device("meta")))
    assert sum(len(rows) for rows, _ in seen) == len(bench.samples)
    assert {outputs[cut].values.device.type for _, outputs in seen for cut in cuts} == {"meta"}
    assert bench.tower.fingerprint == before


@pytest.mark.parametrize(
    ("cuts", "blocks"),
    [
        # Blocks that a pass runs, of three: 1, then 2 more.
        ([Cut(0, "mean", layers="third_last"), Cut(0, "mean")], 3),
        # 2 to the cut; a pooling of several begins before all that it pools, and runs 3 itself.
        ([Cut(1), Cut(0, "mean", layers="last_four")], 5),
        # 1 to the first cut, 1 to the second; from the first 2 for both layers; from the second 1,
        # of which the first token alone is computed.
        ([Cut(2), Cut(1), Cut(0, "mean", layers="both"), Cut(0, "cls")], 5),
        ([Cut(0, "cls", layers="last_four")], 3),
    ],
)
def test_one_pass_serves_every_way_to_pool_from_what_it_has_run(
    benches: Mapping[str, Bench], cuts: list[Cut], blocks: int
) -> None:
    bench = benches["text"]
    runs: list[int] = []
    hooks = [
        block.intermediate.register_forward_hook(lambda *_: runs.append(1))  # packed or not
        for block in bench.tower._blocks  # type: ignore[attr-defined] # of a text tower
    ]
    passes = list(forward(bench.tower, bench.raw, sorted(cuts, reverse=True), CPU))
    for hook in hooks:
        hook.remove()
    assert len(runs) == len(passes) * blocks
    for cut in cuts:
        wanted = bench.expected(cut)
        for rows, outputs in passes:
            got = outputs[cut]
            if got.mask is None:
                torch.testing.assert_close(got.values, wanted.values[rows], atol=1e-5, rtol=1e-5)
                continue
            real = wanted.values[rows][:, : got.mask.shape[1]][got.mask]
            torch.testing.assert_close(got.values[got.mask], real, atol=1e-5, rtol=1e-5)
