"""The cache: what is stored is what the prefix computes, and damage is rebuilt, never trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.activations.conftest import INPUTS, Bench
from trainables.activations import store as store_module
from trainables.activations.catalogue import data_path, fault, header_path
from trainables.activations.files import ActivationError
from trainables.activations.key import make_key
from trainables.activations.store import ActivationStore
from trainables.modules.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.data.sample import Corpus
    from trainables.modules.tower import Tower

    Change = Callable[[bytes], bytes | None]

CUTS: list[Any] = [
    *[("text", Cut(unfrozen)) for unfrozen in range(4)],
    ("text", Cut(0, "mean")),
    *[("image", Cut(unfrozen)) for unfrozen in (0, 1, 3, 4)],
]


@pytest.fixture
def benches(tiny: Mapping[str, Tower], corpus: Corpus) -> Mapping[str, Bench]:
    return {role: Bench(tower, corpus.samples) for role, tower in tiny.items()}


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each batch that a build computes."""
    calls: list[int] = []
    run: Callable[..., Any] = store_module._run

    def count(*args: Any) -> Any:
        calls.append(1)
        return run(*args)

    monkeypatch.setattr(store_module, "_run", count)
    return calls


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


def flip_byte(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]


# What becomes of the bytes of the data file and of its header; None removes it.
DAMAGES: dict[str, tuple[Change, Change]] = {
    "flipped byte": (flip_byte, bytes),
    "truncated": (lambda raw: raw[:-100], bytes),
    "empty": (lambda _: b"", bytes),
    "no data": (lambda _: None, bytes),
    "no header": (bytes, lambda _: None),
    "damaged header": (bytes, lambda _: b"{"),
    "binary header": (bytes, lambda _: b"\xff\xfe\x00"),
    "other header": (bytes, lambda _: b'{"size": 1, "checksum": 2}'),
}


def damage(path: Path, change: Change) -> None:
    raw = change(path.read_bytes())
    path.unlink()
    if raw is not None:
        path.write_bytes(raw)


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_damaged_is_refused_then_rebuilt_and_right(
    benches: Mapping[str, Bench], tmp_path: Path, kind: str
) -> None:
    bench, key = benches["text"], benches["text"].key(Cut(1))
    bench.build(tmp_path, Cut(1))
    for place, change in zip((data_path, header_path), DAMAGES[kind], strict=True):
        damage(place(tmp_path, key.digest), change)
    with pytest.raises(ActivationError, match=f"activations {key.digest} cannot be read: "):
        ActivationStore(tmp_path).open(key)
    steps = bench.build(tmp_path, Cut(1))
    assert not steps[-1].cached
    assert fault(tmp_path, key.digest) is None
    bench.check(tmp_path, Cut(1))


def test_all_unreadable_images_are_named_and_nothing_is_left(
    tiny: Mapping[str, Tower], corpus: Corpus, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    samples = list(corpus.samples)
    samples[2] = replace(samples[2], image=tmp_path / "gone.jpg")
    samples[17] = replace(samples[17], image=broken)
    bench = Bench(tiny["image"], samples)
    with pytest.raises(ActivationError) as error:
        bench.build(tmp_path / "cache", Cut(1))
    assert str(error.value).startswith("images cannot be read:\n")
    assert "gone.jpg: the file is missing" in str(error.value)
    assert "broken.jpg: the file must be a whole" in str(error.value)
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock"}


def test_a_build_that_fails_leaves_no_partial_file(
    benches: Mapping[str, Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        benches["text"].build(tmp_path, Cut(1))
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}


def test_a_cache_that_cannot_be_made_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"cache .*file/cache cannot be made: .*; give --cache DIR or use --no-cache"
    with pytest.raises(ActivationError, match=message):
        ActivationStore(tmp_path / "file" / "cache")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every opening for writing, as a read-only file system does, to root as well."""
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax+"):
            raise OSError(30, "Read-only file system", str(path))
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)


def test_a_read_only_cache_is_read_where_it_is_whole(
    benches: Mapping[str, Bench], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    benches["text"].build(tmp_path, Cut(1))
    request.getfixturevalue("read_only")
    assert [step.cached for step in benches["text"].build(tmp_path, Cut(1))] == [True]
    benches["text"].check(tmp_path, Cut(1))


@pytest.mark.usefixtures("read_only")
def test_a_read_only_cache_that_lacks_a_file_names_the_remedy(
    benches: Mapping[str, Bench], tmp_path: Path
) -> None:
    digest = benches["text"].key(Cut(1)).digest
    message = (
        rf"cache .* lacks {digest} and cannot be written: .*Read-only file system.*; "
        "give --cache DIR or use --no-cache"
    )
    with pytest.raises(ActivationError, match=message):
        benches["text"].build(tmp_path, Cut(1))


def test_another_key_never_reads_this_ones_file(
    benches: Mapping[str, Bench], tmp_path: Path
) -> None:
    bench = benches["text"]
    bench.build(tmp_path, Cut(1))
    inputs = replace(INPUTS, text_length=5)
    other = make_key("text", bench.tower.digest(), Cut(1), bench.samples, inputs, "float32")
    with pytest.raises(ActivationError, match=f"activations {other.digest} cannot .*: missing"):
        ActivationStore(tmp_path).open(other)
