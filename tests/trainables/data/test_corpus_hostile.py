"""Data sets made to do harm, or by accident as bad: a clear error, or read as they are."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from socket import AF_UNIX, socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.trainables.data.conftest import fault_message, jpeg, write_lab
from trainables.config import InputSettings
from trainables.data.corpus import MAX_TEXT_BYTES, Allowed, load_corpus
from trainables.data.encodings import Decoder
from trainables.data.faults import CorpusError, Faults
from trainables.data.images import ImageError, open_image, prepare_image
from trainables.data.listing import Lists, list_folder, list_table
from trainables.data.whole_images import WholeImages

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
BOTH = {"a": "positive", "b": "negative"}


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large: black rows, packed a thousandfold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        packed = struct.pack(">I", len(body)) + kind + body
        return packed + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * 8), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 10_000), (65_000, 65_000), (1, 2_000_000_000)])
def test_an_image_that_unpacks_without_bound_is_refused_with_the_limit(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "data" / "b.jpg").unlink()
    (folder / "data" / "b.png").write_bytes(png_header(*size))
    message = fault_message(folder)
    assert "b.png: " in message
    assert "at most 64,000,000 pixels" in message


def test_a_photo_of_a_hundred_megapixels_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    file = BytesIO()
    Image.new("L", (12_000, 9_000), 128).save(file, "JPEG", quality=10)
    (folder / "data" / "b.jpg").write_bytes(file.getvalue())
    assert "got 12,000 x 9,000; scale it down" in fault_message(folder)


@pytest.mark.parametrize("preparation", ["basic", "improved", "imagenet"])
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_an_image_one_pixel_wide_is_prepared(
    tmp_path: Path, size: tuple[int, int], preparation: str
) -> None:
    path = tmp_path / "thin.png"
    Image.new("RGB", size, (255, 0, 0)).save(path)
    prepared = prepare_image(
        open_image(path),
        InputSettings(image_preparation=preparation, image_size=32),  # type: ignore[arg-type]
    )
    assert prepared.shape == (3, 32, 32)
    assert (prepared[0] == 255).any()


@pytest.mark.parametrize("name", ["a.txt", "a.jpg"])
def test_a_link_out_of_the_data_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    secret = tmp_path / "secret"
    secret.write_bytes(jpeg(1) if name.endswith("jpg") else b"password")
    (folder / "data" / name).unlink()
    (folder / "data" / name).symlink_to(secret)
    message = fault_message(folder)
    assert (
        "every file must lie in the data folder; copy it there, or use --allow-outside" in message
    )
    assert f"{name} is {secret}" in message
    assert len(load_corpus(folder, allowed=Allowed(outside=True)).labelled) == 2


@pytest.mark.parametrize("spelt", ["{outside}/b.jpg", "../outside/b.jpg", "linked/b.jpg"])
def test_a_table_reaches_out_of_its_folder_only_where_that_is_allowed(
    tmp_path: Path, spelt: str
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder, name in ((inside, "a.jpg"), (outside, "b.jpg")):
        folder.mkdir()
        (folder / name).write_bytes(jpeg(1))
    (inside / "linked").symlink_to(outside)
    image = spelt.format(outside=outside)
    lines = ("guid,text,image,tag", "1,a,./../inside/a.jpg,positive", f"2,b,{image},negative")
    (inside / "pairs.csv").write_text("\n".join(lines))
    message = fault_message(inside / "pairs.csv")
    assert "has 1 fault" in message
    assert f"{inside / image} is {outside / 'b.jpg'}" in message
    assert len(load_corpus(inside / "pairs.csv", allowed=Allowed(outside=True)).labelled) == 2


def test_links_within_the_folder_and_of_the_folder_are_fine(tmp_path: Path) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "data" / "b.jpg").unlink()
    (folder / "data" / "b.jpg").symlink_to("a.jpg")
    (folder / "data").rename(tmp_path / "elsewhere")
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(folder)
    assert len(load_corpus(tmp_path / "linked").labelled) == 2


def fifo(path: Path) -> None:
    os.mkfifo(path)


def socket_at(path: Path) -> None:
    with socket(AF_UNIX) as bound:
        bound.bind(os.path.relpath(path))  # a socket's address takes 107 bytes


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


SPECIAL = [
    (fifo, "must be a regular file, got a named pipe"),
    (socket_at, "must be a regular file, got a socket"),
    (device, "must be a regular file, got a device"),
]


@pytest.mark.timeout(120)  # opening a pipe, and reading a device to its end, waits for ever
@pytest.mark.parametrize("name", ["a.txt", "a.jpg"])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        *SPECIAL,
        (Path.mkdir, "must be a regular file, got a folder"),
        (loop, "Too many levels of symbolic links"),
    ],
)
def test_a_text_or_image_that_is_no_regular_file_is_told_and_not_opened(
    tmp_path: Path, name: str, make: Callable[[Path], None], told: str
) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "data" / name).unlink()
    make(folder / "data" / name)
    with pytest.raises(CorpusError, match=rf"{name}: .*{told}"):
        load_corpus(folder, allowed=Allowed(outside=True))


@pytest.mark.timeout(120)  # as above
@pytest.mark.parametrize(("make", "told"), SPECIAL)
def test_a_list_that_is_no_regular_file_is_told_and_not_opened(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "train.txt").unlink()
    for name in ("train.txt", "pairs.csv"):
        make(folder / name)
    assert f"train.txt: it {told}" in fault_message(folder)
    assert f"pairs.csv: it {told}" in fault_message(folder / "pairs.csv")


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(ImageError, match="at most 200 MB, got 3,000 MB"):
        open_image(path)


def test_a_pointer_of_git_lfs_is_told_as_what_it_is(tmp_path: Path) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    for name in ("a.jpg", "b.txt"):
        (folder / "data" / name).write_text(pointer)
    message = fault_message(folder)
    for name in ("a.jpg", "b.txt"):
        assert f"{name}: the file is a Git LFS pointer, not the file itself" in message


def test_a_name_of_five_thousand_letters_is_one_short_fault(tmp_path: Path) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "train.txt").write_text(f"guid,tag\na,positive\nb,negative\n{'x' * 5000},neutral\n")
    rows = f"1,t,data/a.jpg,positive\n2,t,data/b.jpg,negative\n3,t,{'y' * 5000}.jpg,neutral\n"
    (folder / "pairs.csv").write_text(f"guid,text,image,tag\n{rows}")
    for source, told in ((folder, "of at most 200 bytes"), (folder / "pairs.csv", "too long")):
        message = fault_message(source)
        assert told in message
        assert len(message) < 1000
    with pytest.raises(CorpusError, match="it is missing"):
        load_corpus(tmp_path / ("z" * 5000))


@pytest.mark.parametrize("guid", ["../a", "..", "/etc/passwd", "a/../../b", "a\\b", "C:a"])
def test_a_guid_that_points_elsewhere_is_refused(tmp_path: Path, guid: str) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "train.txt").write_text(f"guid,tag\na,positive\n{guid},negative\n")
    assert "guid must be a plain name without" in fault_message(folder)


def test_odd_names_and_line_ends_are_read_as_they_are(tmp_path: Path) -> None:
    guids = ("007", "0", "Ünïcode", "日本", "=1+1", "-5", "NA", "1e5")
    folder = write_lab(tmp_path / "lab", {g: ("positive", "negative")[g == "0"] for g in guids})
    for name in ("train.txt", "test_without_label.txt"):
        text = (folder / name).read_text().replace("\n", "\r\n")
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [sample.guid for sample in load_corpus(folder).labelled] == list(guids)


def test_ten_megabytes_of_text_are_cut_and_said_so(tmp_path: Path) -> None:
    folder = write_lab(tmp_path / "lab", BOTH)
    (folder / "data" / "a.txt").write_bytes(b"x" + "é".encode() * 5_000_000)
    corpus = load_corpus(folder)
    text = corpus.labelled[0].text
    assert text == "x" + "é" * ((MAX_TEXT_BYTES - 1) // 2)
    assert corpus.notes == ("1 of 2 texts are longer than 100,000 bytes; the rest is left out",)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)
GUIDS = NAMES.filter(lambda name: not set(name) & set("/\\:") and name not in {".", ".."})
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(GUIDS, TEXTS, st.sampled_from(["positive", "Neutral", "negative", "null", ""])),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row[0],
    ),
    mark=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    mark: bool,
    end: str,
) -> None:
    import csv
    from io import StringIO

    written = StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator=end)
    writer.writerow(["guid", "text", "image", "tag"])
    writer.writerows([guid, text, "1.jpg", tag] for guid, text, tag in rows)
    path = tmp_path_factory.mktemp("table") / "pairs.csv"
    path.write_bytes(b"\xef\xbb\xbf" * mark + written.getvalue().encode())
    faults = Faults()
    entries = list_table(path, Lists(faults, Decoder(), WholeImages(None).unpack))
    faults.raise_any(path)
    read = [(e.guid, e.text, e.tag) for e in entries]
    assert [row[:2] for row in read] == [row[:2] for row in rows]
    assert [tag for *_, tag in read] == ["" if tag == "null" else tag for *_, tag in rows]


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=300))
def test_no_bytes_of_a_list_raise_anything_but_told_faults(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "train.txt").write_bytes(raw)
    (folder / "pairs.csv").write_bytes(raw)
    lists = Lists(Faults(), Decoder(), WholeImages(None).unpack)
    list_folder(folder, lists)
    list_table(folder / "pairs.csv", lists)


def test_pixels_stay_in_range_for_any_shape() -> None:
    for width, height in ((3, 700), (700, 3), (64, 64)):
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        prepared = prepare_image(Image.fromarray(noise), InputSettings(image_size=32))
        assert prepared.dtype == np.uint8
