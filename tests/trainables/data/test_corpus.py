from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.sentiments import NEGATIVE, NEUTRAL, POSITIVE
from tests.trainables.data.conftest import fault_message, jpeg, write_lab, write_table
from trainables.data.corpus import CorpusError, Spelling, find_corpus, load_corpus, load_pairs
from trainables.data.encodings import Decoder

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.config import Modality
    from trainables.data.sample import Corpus


def test_the_labs_layout_is_read_in_the_order_of_its_lists(lab: Path) -> None:
    corpus = load_corpus(lab)
    assert [(s.guid, s.label) for s in corpus.labelled] == [
        ("007", POSITIVE),
        ("12", NEUTRAL),
        ("x-1", NEGATIVE),
    ]
    assert [(s.guid, s.label) for s in corpus.unlabelled] == [("8", None), ("9", None)]
    assert corpus.labelled[0].text == "text of 007"
    assert corpus.labelled[0].image == lab / "data" / "007.jpg"
    digest = hashlib.blake2b(jpeg(0), digest_size=16).hexdigest()
    assert corpus.labelled[0].image_digest == digest
    assert (corpus.name, corpus.is_demo, corpus.notes) == ("lab", False, ())


def test_lists_beside_the_pairs_are_read_alike(lab: Path) -> None:
    expected = load_corpus(lab).digest
    for name in ("train.txt", "test_without_label.txt"):
        (lab / name).rename(lab / "data" / name)
    assert load_corpus(lab / "data").digest == expected
    assert load_corpus(lab).digest == expected


def test_a_relative_path_gives_absolute_image_paths(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    (relative,) = (p for p in [lab.relative_to(lab)])
    corpus = load_corpus(relative)
    assert corpus.name == "lab"
    assert corpus.samples[0].image == lab / "data" / "007.jpg"


def test_find_corpus_knows_both_layouts(tmp_path: Path) -> None:
    assert find_corpus(tmp_path) is None
    write_lab(tmp_path / "inner", {"1": "positive"})
    assert find_corpus(tmp_path / "inner") == tmp_path / "inner"
    (tmp_path / "inner" / "train.txt").rename(tmp_path / "inner" / "data" / "train.txt")
    assert find_corpus(tmp_path / "inner") == tmp_path / "inner" / "data"
    (tmp_path / "train.txt").touch()
    assert find_corpus(tmp_path) is None


def test_a_test_list_is_optional(lab: Path) -> None:
    (lab / "test_without_label.txt").unlink()
    assert load_corpus(lab).unlabelled == ()


def test_marks_line_ends_blank_lines_spaces_and_capitals_are_tolerated(lab: Path) -> None:
    (lab / "train.txt").write_bytes(
        b"\xef\xbb\xbf Guid , TAG\r\n\r\n 007 ,\tPositive \r\n12,NEUTRAL\r\n , \r\nx-1,negative"
    )
    (lab / "test_without_label.txt").write_bytes(b"guid,tag\r8,NULL\r9,\r")
    corpus = load_corpus(lab)
    assert [s.guid for s in corpus.samples] == ["007", "12", "x-1", "8", "9"]
    assert corpus.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("suffix", [".jpeg", ".png", ".webp", ".gif", ".bmp", ".JPG", ".PNG"])
def test_other_image_formats_are_found(lab: Path, suffix: str) -> None:
    (lab / "data" / "12.jpg").unlink()
    Image.new("RGB", (8, 8)).save(lab / "data" / f"12{suffix}")
    assert load_corpus(lab).labelled[1].image.name == f"12{suffix}"


def test_a_table_is_read_with_columns_in_any_order(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        "tag,image,guid,language,text",
        'positive,pics/1.jpg,01,en,"hello, ""world"""',
        "null,pics/2.jpg,02,en,to predict",
        ",pics/2.jpg,03,en,to predict too",
        "Negative,pics/2.jpg,04,en,caf\udce9",
    )
    corpus = load_corpus(table)
    assert corpus.name == "pairs"
    assert [s.guid for s in corpus.labelled] == ["01", "04"]
    assert [s.guid for s in corpus.unlabelled] == ["02", "03"]
    assert [s.text for s in corpus.labelled] == ['hello, "world"', "café"]
    assert corpus.labelled[0].image == tmp_path / "pics" / "1.jpg"
    assert corpus.notes == (
        "tags are read as classes: Negative as negative",
        "1 of 5 lines of pairs.csv is CP1252, not UTF-8; read as such",
    )


def test_texts_that_are_empty_or_no_utf8_are_counted(lab: Path) -> None:
    (lab / "data" / "12.txt").write_bytes(b"caf\xe9")
    (lab / "data" / "8.txt").write_bytes(b" \n")
    corpus = load_corpus(lab)
    assert corpus.labelled[1].text == "café"
    assert corpus.encoding == "cp1252"
    assert corpus.notes == (
        "1 of 5 texts is CP1252, not UTF-8; read as such",
        "1 of 5 texts are empty; their images stand alone",
    )


def test_the_encoding_that_is_asked_for_goes_before_the_likely_one(lab: Path) -> None:
    (lab / "data" / "12.txt").write_bytes("Живи".encode("koi8-r"))
    read = {
        asked: load_corpus(lab, spelling=Spelling(Decoder(asked, "koi8-r"))).labelled[1].text
        for asked in ("cp866", None)
    }
    assert read == {"cp866": "Живи".encode("koi8-r").decode("cp866"), None: "Живи"}


def test_lists_and_tables_of_other_encodings_are_read_right(lab: Path, tmp_path: Path) -> None:
    for encoding in ("gb18030", "utf-16", "utf-8-sig"):
        (lab / "train.txt").write_bytes(
            "guid,tag\r\n007,positive\r\n中文,negative".encode(encoding)
        )
        for end in ("txt", "jpg"):
            (lab / "data" / f"中文.{end}").write_bytes((lab / "data" / f"12.{end}").read_bytes())
        assert [s.guid for s in load_corpus(lab).labelled] == ["007", "中文"]
    table = write_table(tmp_path)
    rows = (f"{n},“{n}…”,pics/1.jpg,{('positive', 'negative')[n % 2]}" for n in range(9))
    for encoding in ("gb18030", "utf-16-le", "utf-32"):
        table.write_bytes("\n".join(["guid,text,image,tag", *rows]).encode(encoding))
        rows = iter(table.read_bytes().decode(encoding).splitlines()[1:])
        assert [s.text for s in load_corpus(table).labelled] == [f"“{n}…”" for n in range(9)]


@pytest.mark.parametrize("modality", ["text", "image"])
def test_what_is_not_read_need_not_be_there(lab: Path, tmp_path: Path, modality: Modality) -> None:
    whole = load_corpus(lab).reading(modality)
    table = write_table(tmp_path, f"guid,{modality},tag", *ROWS[modality])
    for path in (lab / "data").iterdir():
        if (path.suffix == ".txt") is (modality == "image"):
            path.unlink()
    assert load_corpus(lab, modality=modality) == whole
    (lab / "train.txt").unlink()
    (lab / "test_without_label.txt").unlink()
    unlisted = load_pairs(lab, modality=modality)
    assert [s.guid for s in unlisted.unlabelled] == ["007", "12", "8", "9", "x-1"]
    corpus = load_corpus(table, modality=modality)
    assert [s.text for s in corpus.labelled] == (["hi", "ho"] if modality == "text" else ["", ""])
    assert [s.image is None for s in corpus.labelled] == [modality == "text"] * 2


ROWS = {
    "text": ("1,hi,positive", "2,ho,negative"),
    "image": ("1,pics/1.jpg,positive", "2,pics/2.jpg,negative"),
}


def test_to_predict_a_table_needs_no_tags(tmp_path: Path) -> None:
    table = write_table(tmp_path, "image;guid;text", "pics/1.jpg;1;a, b", "pics/2.jpg;2;c")
    assert "must name the columns guid,text,image,tag (image may be missing); " in fault_message(
        table
    ).replace("\n", " ")
    corpus = load_pairs(table)
    assert [(s.guid, s.text) for s in corpus.unlabelled] == [("1", "a, b"), ("2", "c")]


def test_labels_are_not_required_to_predict(lab: Path) -> None:
    (lab / "train.txt").unlink()
    assert "train.txt" in fault_message(lab)
    assert len(load_pairs(lab).unlabelled) == 2


def test_to_predict_a_folder_of_pairs_needs_no_list(lab: Path, tmp_path: Path) -> None:
    guids = sorted(path.stem for path in (lab / "data").glob("*.txt"))
    (lab / "train.txt").unlink()
    (lab / "test_without_label.txt").unlink()
    assert [s.guid for s in load_pairs(lab).unlabelled] == guids
    (tmp_path / "void").mkdir()
    with pytest.raises(CorpusError, match=r"must hold pairs GUID\.txt and GUID\.jpg"):
        load_pairs(tmp_path / "void")


def test_a_missing_path_and_an_empty_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"got .*nowhere: it is missing"):
        load_corpus(tmp_path / "nowhere")
    assert "a data folder must hold train.txt" in fault_message(tmp_path)


def test_all_faults_are_told_at_once_with_five_examples_of_each(tmp_path: Path) -> None:
    tags = {f"{number:02d}": "positive" for number in range(10)} | {"bad": "hapy", "n": "negative"}
    lab = write_lab(tmp_path / "lab", tags)
    for number in range(7):
        (lab / "data" / f"{number:02d}.jpg").unlink()
    (lab / "data" / "08.jpg").write_bytes(jpeg(0)[:-100])
    (lab / "data" / "09.txt").unlink()
    text = fault_message(lab)
    assert text.startswith(f"{lab} has 10 faults:")
    assert text.count("No such file") == 6
    assert "and 2 more" in text
    for part in ("04.jpg", "got 'hapy'", "08.jpg: image file is truncated", "09.txt: No such"):
        assert part in text
    assert "05.jpg" not in text


@pytest.mark.shared
def test_the_real_data_set_is_read_whole(real: Corpus) -> None:
    assert [real.labels.tolist().count(label) for label in range(3)] == [2388, 419, 1193]
    assert len(real.unlabelled) == 511
    assert real.notes == ("1,061 of 4,511 texts are GB18030, not UTF-8; read as such",)
    assert not any("\ufffd" in sample.text for sample in real.samples)
    by_guid = {sample.guid: sample.text for sample in real.samples}
    assert "#киев" in by_guid["946"]
    assert by_guid["4754"].startswith("夜食のナン ")
