"""The cache in trouble: damage is rebuilt, never trusted; all else is an error with its remedy."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.trainables.activations.conftest import CPU, Bench
from trainables.activations.catalogue import data_path, fault, header_path
from trainables.activations.files import ActivationError
from trainables.activations.store import ActivationStore
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.data.sample import Corpus
    from trainables.modules.backbones.tower import Tower

    Change = Callable[[bytes], bytes | None]


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
    samples[9] = replace(samples[9], image=tmp_path / "gone.jpg")
    samples[17] = replace(samples[17], image=broken)
    bench = Bench(tiny["image"], samples)
    with pytest.raises(ActivationError) as error:
        bench.build(tmp_path / "cache", Cut(1))
    assert str(error.value).startswith("images cannot be read:\n")
    assert "gone.jpg: " in str(error.value)
    assert "broken.jpg: the file must be a whole" in str(error.value)
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock", ".TAG"}


def test_a_build_that_fails_half_way_leaves_no_partial_file(
    benches: Mapping[str, Bench], tmp_path: Path, forwards: list[int]
) -> None:
    bench = benches["image"]
    keys = {Cut(1): bench.key(Cut(1))}
    steps = ActivationStore(tmp_path).build(bench.tower, bench.raw, keys, CPU)
    next(steps)
    assert forwards
    assert len(list(tmp_path.glob("*.partial"))) == 1
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)  # type: ignore[attr-defined] # it is a generator
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock", ".TAG"}


def test_a_cache_that_cannot_be_made_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"cache .*file/cache cannot be made: .*; give --cache DIR or use --no-cache"
    with pytest.raises(ActivationError, match=message):
        ActivationStore(tmp_path / "file" / "cache")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse all that writes, as a read-only file system does, to root as well."""
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax+"):
            touch(path)
        return opened(path, mode, *args, **kwargs)

    def touch(path: Path, *_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "utime", touch)


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
