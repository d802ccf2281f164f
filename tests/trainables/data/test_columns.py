"""Lists that call their columns otherwise, and tables whose images are named after their pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainables.data.conftest import jpeg
from trainables.data.corpus import Allowed, CorpusError, Spelling, find_classes, load_corpus
from trainables.data.encodings import Decoder
from trainables.data.given_splits import GivenSplits, count_folds
from trainables.data.rows.columns import Columns, ColumnsError, parse_columns

PUBLISHED = Spelling(columns=Columns({"guid": "id", "tag": "Emotion_Label"}))


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    """A fold as published: three lists of objects, and images by the names of the pairs."""
    parts = {"train": "1p 2n 3u", "dev": "4p 5n", "test": "6u 7n"}
    names = {"p": "positive", "n": "negative", "u": "neutral"}
    (tmp_path / "data").mkdir()
    for part, pairs in parts.items():
        items = []
        for guid, tag in pairs.split():
            (tmp_path / "data" / f"{guid}.jpg").write_bytes(jpeg(int(guid)))
            items.append({"id": int(guid), "text": f"text {guid}", "emotion_label": names[tag]})
        (tmp_path / f"{part}.json").write_text(json.dumps(items, indent=1))
    return tmp_path


def test_a_published_fold_is_read_as_it_is(protocol: Path) -> None:
    given = GivenSplits(protocol / "dev.json", protocol / "test.json")
    corpus = load_corpus(protocol / "train.json", spelling=PUBLISHED, given=given)
    assert [sample.guid for sample in corpus.labelled] == ["1", "2", "3", "4", "5"]
    assert corpus.given_folds == (-1, -1, -1, 0, 0)
    assert [corpus.unlabelled[row].guid for row in corpus.tested] == ["6", "7"]
    assert [corpus.classes.names[label] for label in corpus.test_labels] == ["neutral", "negative"]
    assert corpus.labelled[3].image == protocol / "data" / "4.jpg"
    assert find_classes(protocol / "train.json", PUBLISHED, "both", given) == corpus.classes


def test_lists_of_their_own_may_lead_outside_where_the_data_may(protocol: Path) -> None:
    fold = protocol / "fold-1"
    fold.mkdir()
    for part in ("train", "dev", "test"):
        (protocol / f"{part}.json").rename(fold / f"{part}.json")
    (fold / "data").symlink_to(protocol / "data")
    given = GivenSplits(fold / "dev.json", fold / "test.json")
    with pytest.raises(CorpusError, match="use --allow-outside"):
        load_corpus(fold / "train.json", spelling=PUBLISHED, given=given)
    allowed = Allowed(outside=True)
    corpus = load_corpus(fold / "train.json", spelling=PUBLISHED, given=given, allowed=allowed)
    assert len(corpus.samples) == 7


def test_every_kind_of_list_may_call_its_columns_otherwise(protocol: Path) -> None:
    expected = load_corpus(protocol / "train.json", spelling=PUBLISHED)
    items = json.loads((protocol / "train.json").read_text())
    keys = list(items[0])
    rows = [",".join(keys), *(",".join(str(item[key]) for key in keys) for item in items)]
    (protocol / "train.csv").write_text("\n".join(rows))
    (protocol / "train.jsonl").write_text("\n".join(map(json.dumps, items)))
    parquet.write_table(pa.Table.from_pylist(items), protocol / "train.parquet")
    for ending in ("csv", "jsonl", "parquet"):
        corpus = load_corpus(protocol / f"train.{ending}", spelling=PUBLISHED)
        assert corpus.digest == expected.digest


def test_a_column_that_has_our_name_for_another_thing_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    (tmp_path / "2.jpg").write_bytes(jpeg(2))
    table = tmp_path / "pairs.csv"
    table.write_text("guid,text,tag,label\n1,a,#cats,positive\n2,b,#dogs,negative\n")
    corpus = load_corpus(table, spelling=Spelling(columns=Columns({"tag": "label"})))
    assert corpus.classes.names == ("positive", "negative")


def test_a_list_that_has_our_names_needs_no_others(tmp_path: Path) -> None:
    folds = tmp_path / "folds.csv"
    folds.write_text("guid,fold\n1,a\n2,b\n")
    assert count_folds(folds, Decoder(), Columns({"guid": "id"})) == 2
    folds.write_text("id,part\n1,a\n2,b\n3,c\n")
    assert count_folds(folds, Decoder(), Columns({"guid": "id", "fold": "part"})) == 3
    with pytest.raises(CorpusError, match="--columns OURS=THEIRS"):
        count_folds(folds, Decoder())


def test_a_table_without_images_by_column_or_by_name_is_refused_in_one_line(
    protocol: Path,
) -> None:
    for image in (protocol / "data").iterdir():
        image.rename(protocol / f"other-{image.name}")
    with pytest.raises(CorpusError) as refused:
        load_corpus(protocol / "train.json", spelling=PUBLISHED)
    assert "a table must have a column image, or GUID.jpg of its pairs" in str(refused.value)
    (protocol / "data" / "2.jpg").write_bytes(jpeg(2))
    with pytest.raises(CorpusError, match=r"1\.jpg: "):
        load_corpus(protocol / "train.json", spelling=PUBLISHED)
    lenient = Allowed(missing="allow")
    corpus = load_corpus(protocol / "train.json", spelling=PUBLISHED, allowed=lenient)
    assert corpus.missing == {"text": 0, "image": 2}


def test_images_in_a_folder_that_cannot_be_listed_are_a_fault_in_one_line(
    protocol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CorpusError) as refused:
        load_corpus(protocol / "train.json", spelling=PUBLISHED)
    assert "every folder must be readable" in str(refused.value)
    assert "data: Permission denied" in str(refused.value)
    assert "must have a column image" not in str(refused.value)


def test_words_are_read_as_our_names_and_theirs() -> None:
    assert parse_columns(["guid=id, tag=label", "text=tweet"]).given == {
        "guid": "id",
        "tag": "label",
        "text": "tweet",
    }
    assert parse_columns([]).ours([" Guid", "TEXT"]) == ["guid", "text"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("guid", "must be OURS=THEIRS,OURS=THEIRS,..., got 'guid'"),
        ("tga=label", "got 'tga'; did you mean 'tag'?"),
        ("tag=a,tag=b", "must name a column once, got 'tag=b' again"),
        ("tag=a,text=A", "must name a column once, got 'text=A' again"),
    ],
)
def test_words_that_name_no_column_or_one_twice_are_refused(word: str, told: str) -> None:
    with pytest.raises(ColumnsError) as refused:
        parse_columns([word])
    assert told in str(refused.value)
