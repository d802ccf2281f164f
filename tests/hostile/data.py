"""Hostile data sets: sound ones of fifteen pairs, each with one thing that no search may take.

What is odd and fine all the same, as a broken EXIF block or a text in another encoding, does not
belong here.
"""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from socket import AF_UNIX, socket
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.hostile.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLASSES = ("positive", "neutral", "negative")
PAIRS = 15
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(r) file\n%%EOF\n"
_REGULAR = "it must be a regular file, got "
_FORMATS = "the file must be a whole JPEG, PNG, WEBP, GIF or BMP image"
_BROKEN = "1.jpg: broken data stream"
_OUTSIDE = "every file must lie in the data folder; copy it there, or use --allow-outside"


def picture(kind: str = "JPEG", side: int = 48) -> bytes:
    """A sound image of noise."""
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def write_folder(folder: Path) -> Path:
    """Write a sound data set in the lab's layout: pairs 0 to 14, five of each class."""
    (folder / "data").mkdir()
    for number in range(PAIRS):
        (folder / "data" / f"{number}.txt").write_text(f"number {number} of some words")
        (folder / "data" / f"{number}.jpg").write_bytes(picture(side=40 + number))
    rows = [f"{number},{CLASSES[number % 3]}" for number in range(PAIRS)]
    (folder / "train.txt").write_text("\n".join(["guid,tag", *rows, ""]))
    return folder


def write_table(folder: Path, row: str = "", head: str = "guid,text,image,tag") -> Path:
    """Write a sound CSV of the same pairs, and one more row."""
    write_folder(folder)
    rows = [f"{n},text {n},data/{n}.jpg,{CLASSES[n % 3]}" for n in range(PAIRS)]
    (folder / "pairs.csv").write_text("\n".join([head, *rows, row, ""]))
    return folder / "pairs.csv"


def _data(path: Path) -> list[str]:
    return ["--data", str(path)]


def with_file(name: str, content: bytes) -> Callable[[Path], Sequence[str]]:
    """A folder in which one file has another content."""

    def make(folder: Path) -> Sequence[str]:
        path = write_folder(folder) / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return _data(folder)

    return make


def with_special(name: str, put: Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    """A folder in which something else stands in place of one file."""

    def make(folder: Path) -> Sequence[str]:
        path = write_folder(folder) / name
        path.unlink(missing_ok=True)
        put(path)
        return _data(folder)

    return make


def with_image(suffix: str, content: bytes) -> Callable[[Path], Sequence[str]]:
    """A folder in which the image of pair 1 is this."""

    def make(folder: Path) -> Sequence[str]:
        write_folder(folder)
        (folder / "data" / "1.jpg").unlink()
        (folder / "data" / f"1{suffix}").write_bytes(content)
        return _data(folder)

    return make


def with_list(*rows: str, head: str = "guid,tag") -> Callable[[Path], Sequence[str]]:
    """A folder whose list is this."""
    return with_file("train.txt", "\n".join([head, *rows, ""]).encode())


def with_more(*rows: str) -> Callable[[Path], Sequence[str]]:
    """A folder whose list has these rows, too."""
    sound = [f"{number},{CLASSES[number % 3]}" for number in range(PAIRS)]
    return with_list(*sound, *rows)


def with_row(row: str) -> Callable[[Path], Sequence[str]]:
    """A CSV with this row, too."""
    return lambda folder: _data(write_table(folder, row))


def without(name: str) -> Callable[[Path], Sequence[str]]:
    """A folder that lacks one file."""
    return with_special(name, nothing)


def instead(put: Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    """Something else than a folder or a CSV."""

    def make(folder: Path) -> Sequence[str]:
        put(folder / "pairs")
        return _data(folder / "pairs")

    return make


def nothing(_: Path) -> None:
    """Not anything."""


def pipe(path: Path) -> None:
    """A named pipe: who opens it waits for a writer."""
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    """A socket."""
    with socket(AF_UNIX) as bound:
        bound.bind(os.path.relpath(path))  # an address takes 107 bytes


def link_to(target: str) -> Callable[[Path], None]:
    """A link to somewhere."""
    return lambda path: path.symlink_to(target)


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def hole(size: int) -> Callable[[Path], None]:
    """A file that is all hole: large, and nothing on the disk."""

    def put(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return put


def _linked_out(name: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        secret = folder.parent / "secret"
        secret.write_bytes(picture() if name.endswith("jpg") else b"password")
        return with_special(name, link_to(str(secret)))(folder)

    return make


def _reaching_out(spelt: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        outside = folder.parent / "outside"
        outside.mkdir()
        (outside / "x.jpg").write_bytes(picture())
        (folder / "linked").symlink_to(outside)
        return with_row(f"x,text,{spelt.format(outside=outside)},neutral")(folder)

    return make


def _no_classes(folder: Path) -> Sequence[str]:
    rows = [f"{number},null" for number in range(PAIRS)]
    (write_folder(folder) / "train.txt").unlink()
    (folder / "test_without_label.txt").write_text("\n".join(["guid,tag", *rows, ""]))
    return _data(folder)


def _in_both_lists(folder: Path) -> Sequence[str]:
    (write_folder(folder) / "test_without_label.txt").write_text("guid,tag\n3,null\n")
    return _data(folder)


def _labelled_to_predict(folder: Path) -> Sequence[str]:
    (write_folder(folder) / "test_without_label.txt").write_text("guid,tag\nx,positive\n")
    return _data(folder)


def _without_its_image(folder: Path) -> Sequence[str]:
    made = with_more("x,neutral")(folder)
    (folder / "data" / "x.txt").write_text("words")
    return made


def _without_folder(folder: Path) -> Sequence[str]:
    shutil.rmtree(write_folder(folder) / "data")
    return _data(folder)


def _long_path(folder: Path) -> Sequence[str]:
    return _data(folder / ("z" * 5000))


def _without_column(folder: Path) -> Sequence[str]:
    return _data(write_table(folder, head="guid,words,image,tag"))


def _all_images_cut(folder: Path) -> Sequence[str]:
    for path in (write_folder(folder) / "data").glob("*.jpg"):
        path.write_bytes(path.read_bytes()[:-100])
    return _data(folder)


def _bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(min(100_000_000, 3 * width * height)), 9))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


def _broken_in_the_middle() -> bytes:
    raw = bytearray(picture(side=150))
    middle = len(raw) // 2
    raw[middle : middle + 4] = b"\xff\xc4\x00\x04"  # a table of codes where pixels should be
    return bytes(raw)


def _claiming(side: int) -> bytes:
    raw = picture()
    at = raw.index(b"\xff\xc0") + 5  # height and width in the frame's header
    return raw[:at] + struct.pack(">HH", side, side) + raw[at + 4 :]


def _flipped(raw: bytes) -> bytes:
    at = raw.index(b"IDAT") + 40
    return raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]


def _archive() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.jpg", picture())
    return file.getvalue()


_SPECIAL = (
    Case("text: a named pipe", f"1.txt: {_REGULAR}a named pipe", with_special("data/1.txt", pipe)),
    Case(
        "image: a named pipe", f"1.jpg: {_REGULAR}a named pipe", with_special("data/1.jpg", pipe)
    ),
    Case(
        "list: a named pipe", f"train.txt: {_REGULAR}a named pipe", with_special("train.txt", pipe)
    ),
    Case("data: a named pipe", f"pairs: {_REGULAR}a named pipe", instead(pipe)),
    Case("text: a socket", f"1.txt: {_REGULAR}a socket", with_special("data/1.txt", bound_socket)),
    Case(
        "image: a socket", f"1.jpg: {_REGULAR}a socket", with_special("data/1.jpg", bound_socket)
    ),
    Case(
        "text: an endless device",
        "1.txt is /dev/zero",
        with_special("data/1.txt", link_to("/dev/zero")),
    ),
    Case(
        "image: an endless device",
        "1.jpg is /dev/zero",
        with_special("data/1.jpg", link_to("/dev/zero")),
    ),
    Case(
        "list: an endless device",
        f"train.txt: {_REGULAR}a device",
        with_special("train.txt", link_to("/dev/zero")),
    ),
    Case("data: an endless device", f"pairs: {_REGULAR}a device", instead(link_to("/dev/zero"))),
    Case("text: a link to itself", "1.txt: Too many levels", with_special("data/1.txt", loop)),
    Case("image: a link to itself", "1.jpg: Too many levels", with_special("data/1.jpg", loop)),
    Case(
        "list: a link to itself",
        "a data folder must hold train.txt",
        with_special("train.txt", loop),
    ),
    Case("data: a link to itself", "it is missing", instead(loop)),
    Case("text: a folder", f"1.txt: {_REGULAR}a folder", with_special("data/1.txt", Path.mkdir)),
    Case("image: a folder", f"1.jpg: {_REGULAR}a folder", with_special("data/1.jpg", Path.mkdir)),
    Case(
        "list: a folder", f"train.txt: {_REGULAR}a folder", with_special("train.txt", Path.mkdir)
    ),
    Case(
        "image: three gigabytes",
        "at most 200 MB, got 3,000 MB",
        with_special("data/1.jpg", hole(3_000_000_000)),
    ),
    Case(
        "list: three gigabytes",
        "at most 500 MB, got 3,000 MB",
        with_special("train.txt", hole(3_000_000_000)),
    ),
    Case(
        "data: a CSV of three gigabytes",
        "at most 500 MB, got 3,000 MB",
        instead(hole(3_000_000_000)),
    ),
)

_PLACES = (
    Case("text: a link out", _OUTSIDE, _linked_out("data/1.txt")),
    Case("image: a link out", _OUTSIDE, _linked_out("data/1.jpg")),
    Case("table: an absolute path", _OUTSIDE, _reaching_out("{outside}/x.jpg")),
    Case("table: a path upwards", _OUTSIDE, _reaching_out("../outside/x.jpg")),
    Case("table: a path through a linked folder", _OUTSIDE, _reaching_out("linked/x.jpg")),
    Case("table: a system's file", _OUTSIDE, with_row("x,text,/etc/passwd,neutral")),
    Case("table: a file of a process", _OUTSIDE, with_row("x,text,/proc/self/mem,neutral")),
    Case(
        "guid: a path upwards", "guid must be a plain name", with_more("../../etc/passwd,neutral")
    ),
    Case("guid: an absolute path", "guid must be a plain name", with_more("/etc/passwd,neutral")),
    Case(
        "guid: five thousand letters", "of at most 200 bytes", with_more(f"{'x' * 5000},neutral")
    ),
    Case("guid: a NUL", "guid must be a plain name", with_more("a\0b,neutral")),
    Case("guid: a line end", "guid must be a plain name", with_more('"a\nb",neutral')),
    Case(
        "guid: of a terminal's commands", "guid must be a plain name", with_more("\x1b[2J,neutral")
    ),
    Case("guid: empty", "guid must be a plain name", with_more(",neutral")),
    Case("guid: twice", "guid must be unique", with_more("3,neutral")),
    Case("guid: in both lists", "guid must be unique", _in_both_lists),
    Case(
        "table: an image of five thousand letters",
        "File name too long",
        with_row(f"x,t,{'y' * 5000}.jpg,neutral"),
    ),
    Case("data: five thousand letters", "it is missing", _long_path),
    Case("data: nothing there", "it is missing", instead(nothing)),
    Case("data: an empty folder", "a data folder must hold train.txt", instead(Path.mkdir)),
)

_LISTS = (
    Case("tag: unknown", "got 'happy'", with_more("x,happy")),
    Case("tag: none to train on", "every pair in train.txt must have a tag", with_more("x,null")),
    Case(
        "tag: to be predicted", "tag must be null in test_without_label.txt", _labelled_to_predict
    ),
    Case(
        "tags: of one class",
        "at least two classes must be labelled",
        with_list(*(f"{n},positive" for n in range(PAIRS))),
    ),
    Case(
        "tags: one of a class",
        "class neutral must have >= 5 samples",
        with_list("0,positive", "1,neutral", *(f"{n},negative" for n in range(2, PAIRS))),
    ),
    Case("tags: none at all", "a data folder must hold train.txt", _no_classes),
    Case("list: of its head alone", "got no labelled pair", with_list()),
    Case("list: empty", "the first line must name the columns", with_file("train.txt", b"")),
    Case(
        "list: without its head",
        "the first line must name the columns",
        with_list("1,neutral", head="0,positive"),
    ),
    Case(
        "list: bytes of anything",
        "train.txt",
        with_file("train.txt", np.random.default_rng(0).bytes(5000)),
    ),
    Case("list: an image", "train.txt", with_file("train.txt", picture())),
    Case(
        "list: a pointer of Git LFS",
        "train.txt: the file is a Git LFS pointer",
        with_file("train.txt", LFS),
    ),
    Case("list: too many values", "every line must have 2 values", with_more("x,neutral,more")),
    Case("list: a quote that never closes", "train.txt line", with_more('x,"neutral')),
    Case("table: without a column", "the first line must name the columns", _without_column),
    Case("table: no image named", "image must name a file", with_row("x,text,,neutral")),
    Case("list: a pair without its image", "x.jpg: No such file", _without_its_image),
    Case("list: pairs without their folder", "No such file", _without_folder),
    Case("text: missing", "1.txt: No such file", without("data/1.txt")),
    Case("image: missing", "1.jpg: No such file", without("data/1.jpg")),
    Case(
        "text: a pointer of Git LFS",
        "1.txt: the file is a Git LFS pointer",
        with_file("data/1.txt", LFS),
    ),
)

_IMAGES = (
    Case(
        "image: a pointer of Git LFS",
        "1.jpg: the file is a Git LFS pointer",
        with_image(".jpg", LFS),
    ),
    Case("image: empty", "1.jpg: the file is empty", with_image(".jpg", b"")),
    Case(
        "image: JPEG that is cut",
        "1.jpg: image file is truncated",
        with_image(".jpg", picture()[:-200]),
    ),
    Case(
        "image: JPEG damaged in its middle", _BROKEN, with_image(".jpg", _broken_in_the_middle())
    ),
    Case(
        "image: JPEG that claims to be vast",
        "at most 64,000,000 pixels",
        with_image(".jpg", _claiming(65_000)),
    ),
    Case(
        "image: PNG that is cut",
        "1.png: image file is truncated",
        with_image(".png", picture("PNG")[:-200]),
    ),
    Case("image: PNG with flipped bits", "1.png: ", with_image(".png", _flipped(picture("PNG")))),
    Case(
        "image: PNG that unpacks without end",
        "at most 64,000,000 pixels",
        with_image(".png", _bomb(20_000, 20_000)),
    ),
    Case(
        "image: PNG of one endless row",
        "at most 64,000,000 pixels",
        with_image(".png", _bomb(2_000_000_000, 1)),
    ),
    Case("image: WebP that is cut", "1.webp: ", with_image(".webp", picture("WEBP")[:-200])),
    Case(
        "image: GIF without a frame", "1.gif: ", with_image(".gif", b"GIF89a\x10\0\x10\0\0\0\0;")
    ),
    Case(
        "image: BMP that is cut",
        "1.bmp: image file is truncated",
        with_image(".bmp", picture("BMP")[:-200]),
    ),
    Case("image: PostScript for Ghostscript to run", _FORMATS, with_image(".jpg", EPS)),
    Case("image: PDF", _FORMATS, with_image(".jpg", b"%PDF-1.7\n%%EOF\n")),
    Case(
        "image: SVG that reads a file",
        _FORMATS,
        with_image(
            ".png",
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        ),
    ),
    Case(
        "image: a page that says Not Found",
        _FORMATS,
        with_image(".jpg", b"<!DOCTYPE html><h1>404</h1>"),
    ),
    Case("image: TIFF", _FORMATS, with_image(".jpg", picture("TIFF"))),
    Case("image: ICO", _FORMATS, with_image(".png", picture("ICO"))),
    Case("image: an archive", _FORMATS, with_image(".jpg", _archive())),
    Case("image: zeros", _FORMATS, with_image(".jpg", bytes(100_000))),
    Case("images: all cut", "and 10 more", _all_images_cut),
)

DATA_SETS: tuple[Case, ...] = (*_SPECIAL, *_PLACES, *_LISTS, *_IMAGES)
