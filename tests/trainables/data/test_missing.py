"""Pairs that lack their text or image, on request; and those that have several images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainables.data.conftest import fault_message, jpeg, write_table
from trainables.data.corpus import Allowed, CorpusError, load_corpus, load_pairs
from trainables.data.splits import duplicate_groups

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALLOW = Allowed(missing="allow")


def refused(path: Path, **settings: Any) -> str:
    with pytest.raises(CorpusError) as error:
        load_corpus(path, **settings)
    return " ".join(str(error.value).split())


def spoilt(lab: Path) -> Path:
    (lab / "data" / "007.txt").unlink()
    (lab / "data" / "12.jpg").unlink()
    (lab / "data" / "8.jpg").unlink()
    return lab


def test_what_a_folder_lacks_is_empty_and_counted(lab: Path) -> None:
    corpus = load_corpus(spoilt(lab), allowed=ALLOW)
    assert [s.text for s in corpus.samples] == [
        "",
        *(f"text of {g}" for g in ("12", "x-1", "8", "9")),
    ]
    assert [s.image is None for s in corpus.samples] == [False, True, False, True, False]
    assert [s.image_digest == "" for s in corpus.samples] == [False, True, False, True, False]
    assert corpus.missing == {"text": 1, "image": 2}
    assert corpus.notes == (
        "1 of 5 pairs lack their text: the empty text stands for it",
        "2 of 5 pairs lack their image: a square of the backbone's mean colour stands for it",
    )
    assert len({*duplicate_groups(corpus.samples)}) == 5  # they do not share what they lack


def test_without_the_request_each_is_refused_with_the_remedy(lab: Path) -> None:
    told = refused(spoilt(lab))
    assert told.startswith(f"{lab} has 3 faults:")
    remedy = "; --missing allow takes pairs that lack one:"
    assert f"every text file must be readable{remedy} {lab / 'data' / '007.txt'}: No such" in told
    assert f".bmp){remedy} {lab / 'data' / '12.jpg'}: No such file" in told
    with pytest.raises(CorpusError, match="a model that was searched with --missing allow takes"):
        load_pairs(lab)


def test_a_file_that_is_there_must_be_whole_all_the_same(lab: Path) -> None:
    (lab / "data" / "12.jpg").write_bytes(jpeg(0)[:-100])
    (lab / "data" / "007.txt").unlink()
    (lab / "data" / "007.txt").mkdir()
    told = refused(lab, allowed=ALLOW)
    assert "every image file must be whole" in told
    assert "every text file must be readable: " in told
    assert "--missing" not in told


def test_a_pair_must_have_one_of_both(lab: Path) -> None:
    (lab / "data" / "12.jpg").unlink()
    (lab / "data" / "12.txt").unlink()
    (lab / "data" / "8.jpg").unlink()
    (lab / "data" / "8.txt").write_text(" \n")
    told = refused(lab, allowed=ALLOW)
    assert "2 faults: - every pair must have a text or an image: got neither for 12" in told
    assert told.endswith("got neither for 8")


def test_what_all_pairs_lack_is_refused_where_they_are_learnt_from(lab: Path) -> None:
    for path in (lab / "data").glob("*.jpg"):
        path.unlink()
    told = refused(lab, allowed=ALLOW)
    assert (
        "some pair must have its image; --modality text reads texts alone: got none in 5" in told
    )
    assert load_pairs(lab, allowed=ALLOW).missing == {"text": 0, "image": 5}


def test_of_one_modality_nothing_may_be_missing(lab: Path) -> None:
    spoilt(lab)
    for modality in ("text", "image"):
        assert "must be readable" in refused(lab, allowed=ALLOW, modality=modality)
        assert "--missing" not in refused(lab, modality=modality)


def test_a_folder_without_lists_has_the_pairs_of_either_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.jpg").write_bytes(jpeg(1))
    corpus = load_pairs(tmp_path, allowed=ALLOW)
    assert [(s.guid, s.text, s.image) for s in corpus.samples] == [
        ("a", "a", None),
        ("b", "", tmp_path / "b.jpg"),
    ]


def csv_of(folder: Path) -> Path:
    rows = ("1,,pics/1.jpg,positive", "2,b,,negative", "3,c,pics/3.jpg,")
    return write_table(folder, "guid,text,image,tag", *rows)


def json_of(folder: Path) -> Path:
    path = csv_of(folder).with_suffix(".jsonl")
    rows = [
        {"guid": "1", "image": "pics/1.jpg", "tag": "positive"},
        {"guid": "2", "text": "b", "image": None, "tag": "negative"},
        {"guid": "3", "text": "c", "tag": None, "image": ["pics/3.jpg"]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def parquet_of(folder: Path) -> Path:
    path = csv_of(folder).with_suffix(".parquet")
    columns = {
        "guid": ["1", "2", "3"],
        "text": [None, "b", "c"],
        "image": [jpeg(1), None, None],
        "tag": ["positive", "negative", None],
    }
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("write", [csv_of, json_of, parquet_of])
def test_what_a_table_lacks_is_empty_and_counted(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    corpus = load_corpus(write(tmp_path), allowed=ALLOW)
    assert [s.text for s in corpus.samples] == ["", "b", "c"]
    assert [s.image is None for s in corpus.samples] == [False, True, True]
    assert corpus.missing["image"] == 2


@pytest.mark.parametrize(
    "value",
    [
        "pics/1.jpg;pics/2.jpg",
        "pics/1.jpg | pics/2.jpg",
        "['pics/1.jpg', 'pics/2.jpg']",
        "1.png 2.JPG",
    ],
)
def test_a_list_of_names_in_a_csv_is_refused_by_name(tmp_path: Path, value: str) -> None:
    table = write_table(
        tmp_path, "guid,text,image,tag", "1,a,pics/1.jpg,positive", f'2,b,"{value}",negative'
    )
    told = " ".join(fault_message(table).split())
    rule = "every pair must have one image: choose one, or join them in one picture"
    assert f"1 fault: - {rule}: pairs.csv line 3: got 2" in told


def test_a_name_that_looks_like_a_list_may_be_a_name(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, "guid,text,image,tag", "1,a,pics/1.jpg,positive", "2,b,1.jpg 2.jpg,negative"
    )
    (tmp_path / "1.jpg 2.jpg").write_bytes(jpeg(1))
    assert [s.image for s in load_corpus(table).samples][1] == tmp_path / "1.jpg 2.jpg"


def test_a_list_of_images_in_json_lines_or_parquet_is_refused_by_name(tmp_path: Path) -> None:
    write_table(tmp_path, "")
    lines = tmp_path / "pairs.jsonl"
    row = {"text": "a", "image": ["pics/1.jpg", "pics/2.jpg", "pics/1.jpg"], "tag": "positive"}
    lines.write_text(json.dumps(row))
    assert "every pair must have one image" in fault_message(lines)
    assert "pairs.jsonl line 1: got 3" in fault_message(lines)
    stored = tmp_path / "pairs.parquet"
    columns = {"text": ["a"], "image": [[jpeg(1), jpeg(2)]], "tag": ["positive"]}
    parquet.write_table(pa.table(columns), stored)
    assert "pairs.parquet row 1: got 2" in fault_message(stored)
