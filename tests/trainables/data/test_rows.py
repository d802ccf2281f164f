from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainables.data.conftest import fault_message, jpeg, write_table
from trainables.data.corpus import load_corpus
from trainables.data.whole_images import WholeImages

if TYPE_CHECKING:
    from pathlib import Path

ROWS = (
    ("1", 'a, "b"\nc', "pics/1.jpg", "positive"),
    ("2", "d\u2028e", "pics/2.jpg", "negative"),
    ("3", "", "pics/1.jpg", None),
)
NAMES = ("guid", "text", "image", "tag")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The rows as CSV, and their pictures beside it."""
    quoted = ['1,"a, ""b""\nc",pics/1.jpg,positive', '2,"d\u2028e",pics/2.jpg,negative']
    return write_table(tmp_path, ",".join(NAMES), *quoted, "3,,pics/1.jpg,")


def write_json_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
    return path


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def columns(**changes: list[Any]) -> dict[str, list[Any]]:
    return {name: [row[k] for row in ROWS] for k, name in enumerate(NAMES)} | changes


def test_json_and_parquet_say_what_csv_says(table: Path, tmp_path: Path) -> None:
    expected = load_corpus(table)
    lines = write_json_lines(
        tmp_path / "pairs.jsonl", [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    )
    items = tmp_path / "pairs.json"
    items.write_text(json.dumps([json.loads(line) for line in lines.open()], indent=2))
    stored = write_parquet(tmp_path / "pairs.parquet", columns())
    for path in (lines, items, stored):
        corpus = load_corpus(path)
        assert corpus.digest == expected.digest
        assert [s.text for s in corpus.samples] == [row[1] for row in ROWS]
        assert [s.image for s in corpus.samples] == [tmp_path / row[2] for row in ROWS]


@pytest.mark.parametrize("kind", ["bytes", "record"])
def test_images_in_a_parquet_file_are_unpacked_by_content(
    table: Path, tmp_path: Path, kind: str
) -> None:
    raw = [(tmp_path / row[2]).read_bytes() for row in ROWS]
    images = raw if kind == "bytes" else [{"bytes": each, "path": "x.jpg"} for each in raw]
    stored = write_parquet(tmp_path / "more.parquet", columns(image=images))
    kept = tmp_path / "cache" / "images"
    corpus = load_corpus(stored, whole_images=WholeImages(None, kept))
    assert corpus.digest == load_corpus(table).digest
    assert len(list(kept.iterdir())) == 2, "the first and the last are one"
    assert corpus.samples[0].image == corpus.samples[2].image
    assert load_corpus(stored).digest == corpus.digest, "without a cache, too"


@pytest.mark.usefixtures("table")
def test_without_guids_rows_are_named_by_number(tmp_path: Path) -> None:
    unnamed = {name: values for name, values in columns().items() if name != "guid"}
    stored = write_parquet(tmp_path / "pairs.parquet", unnamed)
    rows = [dict(zip(NAMES[1:], row[1:], strict=True)) for row in ROWS]
    lines = write_json_lines(tmp_path / "pairs.jsonl", rows)
    for path in (stored, lines):
        assert [s.guid for s in load_corpus(path).samples] == ["0", "1", "2"]


@pytest.mark.usefixtures("table")
def test_numbers_are_names_and_a_column_parts(tmp_path: Path) -> None:
    given = columns(guid=[7, 8, 9], tag=["positive", "negative", "negative"])
    given["split"] = ["train", "train", "test"]
    corpus = load_corpus(write_parquet(tmp_path / "pairs.parquet", given))
    assert [s.guid for s in corpus.samples] == ["7", "8", "9"]
    assert corpus.held_out == (1,)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (['{"text": "a"'], "must be a JSON object: pairs.jsonl line 1: "),
        (["3"], "must be a JSON object: pairs.jsonl line 1: got '3'"),
        (["[1, {}]"], "must be a JSON object: pairs.jsonl item 1: got '1'"),
        (['[{"text": "a"}', ","], "every JSON file must be sound: pairs.jsonl: "),
        (['{"text": "a", "label": "x"}'], "pairs.jsonl line 1: got no tag in 'text,label'"),
        (["[" * 100_000], "every JSON file must be sound: pairs.jsonl: "),
    ],
)
def test_lines_that_are_no_pairs_are_told(tmp_path: Path, lines: list[str], told: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines))
    assert told in " ".join(fault_message(path).split())
    path.write_bytes(b'{"text": "\xff"}')
    assert "must be UTF-8: " in " ".join(fault_message(path).split())


def test_a_parquet_file_that_is_none_or_lacks_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    assert "every list file must be readable: " in " ".join(fault_message(path).split())
    write_parquet(path, {"text": ["a"], "label": [0]})
    told = " ".join(fault_message(path).split())
    assert "(image may be missing); --columns OURS=THEIRS,..." in told
    assert "pairs.parquet: got no tag" in told
    write_parquet(path, columns(image=[b"no picture", jpeg(1), jpeg(2)]))
    assert "every image file must be whole: " in " ".join(fault_message(path).split())
    write_parquet(path, columns(image=[None, "pics/1.jpg", "pics/2.jpg"]))
    told = " ".join(fault_message(path).split())
    assert "image must name a file (--missing allow takes pairs that lack one): pairs" in told
