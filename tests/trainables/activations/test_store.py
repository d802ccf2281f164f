"""The cache: what is stored is what the prefix computes, once, and no more than is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.activations.conftest import INPUTS, Bench
from trainables.activations.catalogue import data_path
from trainables.activations.files import ActivationError
from trainables.activations.key import make_key
from trainables.activations.store import ActivationStore
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.modules.backbones.tower import Tower

CUTS: list[Any] = [
    *[("text", Cut(unfrozen)) for unfrozen in range(4)],
    ("text", Cut(0, "mean")),
    *[("image", Cut(unfrozen)) for unfrozen in (0, 1, 3, 4)],
]


@pytest.mark.parametrize(("role", "cut"), CUTS)
def test_what_is_stored_is_what_the_prefix_computes(
    benches: Mapping[str, Bench], tmp_path: Path, role: str, cut: Cut
) -> None:
    benches[role].build(tmp_path, cut)
    benches[role].check(tmp_path, cut)


@pytest.mark.parametrize("role", ["text", "image"])
def test_one_pass_for_several_cuts_stores_what_separate_passes_do(
    benches: Mapping[str, Bench], tmp_path: Path, forwards: list[int], role: str
) -> None:
    cuts = [Cut(1), Cut(3), Cut(0), Cut(0, "mean")]
    bench = benches[role]
    bench.build(tmp_path, *cuts)
    batches = len(forwards)
    for cut in cuts:
        bench.check(tmp_path, cut)
        bench.build(tmp_path / "alone", cut)
        together, alone = (bench.stored(f, cut) for f in (tmp_path, tmp_path / "alone"))
        torch.testing.assert_close(together.values, alone.values, atol=1e-5, rtol=1e-5)
    assert len(forwards) == batches * (1 + len(cuts))


def test_two_poolings_alone_are_stored_in_one_pass(
    benches: Mapping[str, Bench], tmp_path: Path
) -> None:
    benches["text"].build(tmp_path, Cut(0, "cls"), Cut(0, "mean"))
    for pooling in ("cls", "mean"):
        benches["text"].check(tmp_path, Cut(0, pooling))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_ragged_rows_take_no_room_for_padding(
    benches: Mapping[str, Bench], tmp_path: Path
) -> None:
    bench = benches["text"]
    bench.build(tmp_path, Cut(1))
    lengths = bench.raw.lengths
    assert lengths is not None
    header = 8 * len(lengths) + 1000
    size = data_path(tmp_path, bench.key(Cut(1)).digest).stat().st_size
    assert 0 <= size - int(lengths.sum()) * 64 * 4 < header


def test_half_precision_is_within_its_rounding(
    tiny: Mapping[str, Tower], corpus: Corpus, tmp_path: Path
) -> None:
    bench = Bench(tiny["text"], corpus.samples, "float16")
    bench.build(tmp_path, Cut(1))
    got, wanted = bench.stored(tmp_path, Cut(1)), bench.expected(Cut(1))
    real = got.values[got.mask], wanted.values[wanted.mask]
    torch.testing.assert_close(*real, atol=1e-6, rtol=2**-10)


def test_a_second_build_computes_nothing(
    benches: Mapping[str, Bench], tmp_path: Path, forwards: list[int]
) -> None:
    first = benches["image"].build(tmp_path, Cut(1))
    count = len(forwards)
    second = benches["image"].build(tmp_path, Cut(1))
    assert len(forwards) == count > 1
    assert [step.done for step in first] == [*range(4, 37, 4), 36]
    assert not any(step.cached for step in first)
    assert [(step.role, step.done, step.total, step.cached) for step in second] == [
        ("image", 36, 36, True)
    ]


def test_only_what_is_missing_is_built(benches: Mapping[str, Bench], tmp_path: Path) -> None:
    bench = benches["text"]
    bench.build(tmp_path, Cut(2))
    path = data_path(tmp_path, bench.key(Cut(2)).digest)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    bench.build(tmp_path, Cut(1), Cut(2))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    bench.check(tmp_path, Cut(1))


def test_another_key_never_reads_this_ones_file(
    benches: Mapping[str, Bench], tmp_path: Path
) -> None:
    bench = benches["text"]
    bench.build(tmp_path, Cut(1))
    inputs = replace(INPUTS, text_length=5)
    other = make_key("text", bench.tower.fingerprint, Cut(1), bench.samples, inputs, "float32")
    with pytest.raises(ActivationError, match=f"activations {other.digest} cannot .*: missing"):
        ActivationStore(tmp_path).open(other)
