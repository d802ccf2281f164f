from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trainables.data.conftest import fault_message, jpeg, write_table
from trainables.data.corpus import load_corpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rewrite(name: str, *lines: str) -> Callable[[Path], object]:
    return lambda lab: (lab / name).write_text("\n".join(lines))


def cut(name: str) -> Callable[[Path], object]:
    return lambda lab: (lab / "data" / name).write_bytes(jpeg(0)[:-100])


TRAIN, TEST = "train.txt", "test_without_label.txt"
SOUND = ("guid,tag", "007,positive", "12,neutral")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lab: (lab / TRAIN).unlink(), ["a data folder must hold train.txt (guid,tag)"]),
        (rewrite(TRAIN), ["must name the columns guid,tag", "train.txt: got ''"]),
        (rewrite(TRAIN, "007,positive"), ["columns guid,tag", "train.txt: got '007,positive'"]),
        (rewrite(TRAIN, *SOUND, "x-1"), ["every line must have 2 values", "line 4: got 1"]),
        (rewrite(TRAIN, *SOUND, "x-1,a,b"), ["every line must have 2 values", "line 4: got 3"]),
        (rewrite(TRAIN, *SOUND, '"x-1,neutral'), ["must be sound CSV", "train.txt line 4"]),
        (
            rewrite(TRAIN, *SOUND, "x-1,negativ"),
            [
                "tag must be one of positive, neutral, negative",
                "train.txt line 4: got 'negativ'; did you mean 'negative'?",
            ],
        ),
        (rewrite(TRAIN, *SOUND, "x-1,null"), ["every pair in train.txt must have a tag"]),
        (rewrite(TEST, "guid,tag", "8,positive"), ["tag must be null", "line 2: got 'positive'"]),
        (
            rewrite(TRAIN, *SOUND, "12,neutral"),
            ["guid must be unique", "train.txt line 4: got '12', as in train.txt line 3"],
        ),
        (
            rewrite(TEST, "guid,tag", "007,null"),
            ["test_without_label.txt line 2: got '007', as in train.txt line 2"],
        ),
        (rewrite(TRAIN, *SOUND, "../x-1,neutral"), ["guid must be a plain name", "'../x-1'"]),
        (rewrite(TRAIN, *SOUND, "..,neutral"), ["guid must be a plain name", "got '..'"]),
        (rewrite(TRAIN, *SOUND, "a\\b,neutral"), ["guid must be a plain name"]),
        (rewrite(TRAIN, *SOUND, ",neutral"), ["guid must be a plain name", "got ''"]),
        (rewrite(TRAIN, *SOUND, "a\0b,neutral"), ["guid must be a plain name", r"'a\x00b'"]),
        (
            rewrite(TRAIN, "guid,tag", "007,positive", "12,positive"),
            ["at least two classes must be labelled", "got 2 positive"],
        ),
        (rewrite(TRAIN, "guid,tag"), ["at least two classes", "got no labelled pair"]),
        (lambda lab: (lab / "data/12.txt").unlink(), ["every text file", "12.txt: No such"]),
        (lambda lab: (lab / "data/8.jpg").unlink(), ["every image file", "8.jpg: No such"]),
        (lambda lab: (lab / "data/8.jpg").write_bytes(b""), ["8.jpg: the file is empty"]),
        (cut("8.jpg"), ["every image file must be whole", "8.jpg: image file is truncated"]),
        (
            lambda lab: (lab / "data/8.jpg").write_bytes(b"GIF?"),
            ["every image file must be whole", "8.jpg: the file must be a whole JPEG"],
        ),
    ],
)  # fmt: skip
def test_each_fault_of_a_folder_is_told(
    lab: Path, spoil: Callable[[Path], object], told: list[str]
) -> None:
    spoil(lab)
    text = fault_message(lab)
    assert text.startswith(f"{lab} has 1 fault:")
    for part in told:
        assert part in text


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("3,hi,,positive", ["image must name a file", "pairs.csv line 4: got ''"]),
        ("3,hi,pics/3.jpg,positive", ["every image file must be readable", "3.jpg: No such"]),
        (
            "3,hi,pics,positive",
            ["every image file must be readable", "pics: it must be a regular"],
        ),
        ("3,hi,p\0.jpg,positive", ["image must name a file"]),
        ("3,hi, there,pics/1.jpg,positive", ["quoted where they hold a comma", "line 4: got 5"]),
        (
            '3,"hi" there,pics/1.jpg,positive',
            ["sound CSV", "line 4: the quote that opens here closes in line 4 in the middle of"],
        ),
        ("a/b,hi,pics/1.jpg,positive", ["guid must be a plain name"]),
        ("2,hi,pics/1.jpg,positive", ["as in pairs.csv line 3"]),
        ("3,hi,pics/1.jpg,happy", ["line 4: got 'happy'; known are negative, neutral, positive"]),
    ],
)
def test_each_fault_of_a_table_is_told(tmp_path: Path, row: str, told: list[str]) -> None:
    sound = ("1,a,pics/1.jpg,positive", "2,b,pics/2.jpg,negative")
    text = fault_message(write_table(tmp_path, "guid,text,image,tag", *sound, row))
    assert "has 1 fault:" in text
    for part in told:
        assert part in text


def test_a_wrong_table_header_is_quoted(tmp_path: Path) -> None:
    text = fault_message(write_table(tmp_path, "guid|text|image|tag", "1|a|pics/1.jpg|positive"))
    assert "must name the columns guid,text,image,tag" in text
    assert "pairs.csv: got 'guid|text|image|tag'" in text


def test_a_column_given_twice_is_refused(tmp_path: Path) -> None:
    rows = ("1,a,b,pics/1.jpg,positive", "2,c,d,pics/2.jpg,negative")
    text = fault_message(write_table(tmp_path, "guid,text,Text,image,tag", *rows))
    assert "every column must be named once" in text
    assert "pairs.csv: got 'text' twice or more" in text


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_and_tabs_part_values_too(tmp_path: Path, mark: str) -> None:
    rows = ("guid text image tag", '1 "a{0}b, c" pics/1.jpg positive', "2 d pics/2.jpg negative")
    written = (row.replace(", ", ",\0").replace(" ", mark).replace("\0", " ") for row in rows)
    table = write_table(tmp_path, *(row.replace("{0}", mark) for row in written))
    assert [s.text for s in load_corpus(table).labelled] == [f"a{mark}b, c", "d"]
    text = table.read_text() + f"\n3{mark}e{mark}f{mark}pics/1.jpg{mark}positive"
    table.write_text(text)
    name = {";": "semicolon", "\t": "tab"}[mark]
    assert f"4 values, quoted where they hold a {name}" in fault_message(table)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [
                '1,"a\nb",pics/1.jpg,positive',
                '2,"c,pics/2.jpg,negative',
                "3,d,pics/1.jpg,positive",
            ],
            "pairs.csv line 4: the quote that opens here is never closed",
        ),
        (
            ['1,"a,pics/1.jpg,positive', "", '2,"b",pics/2.jpg,negative'],
            "pairs.csv line 2: the quote that opens here closes in line 4 in the middle",
        ),
        (
            ['1,"a ""b""\n\nc", "pics/1.jpg,positive', "2,d,pics/2.jpg,negative"],
            "pairs.csv line 4: the quote that opens here is never closed",
        ),
        (
            ["1,a,pics/1.jpg,positive", '2,"b,pics/2.jpg,negative\n3,c",pics/1.jpg'],
            "pairs.csv line 3: got 3",
        ),
    ],
)
def test_a_stray_quote_is_told_where_it_opens(tmp_path: Path, rows: list[str], told: str) -> None:
    assert told in fault_message(write_table(tmp_path, "guid,text,image,tag", *rows))
