from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sentiments import NEUTRAL
from tests.trainables.data.conftest import write_lab, write_table
from trainables.data.corpus import CorpusError, load_corpus
from trainables.data.encodings import Decoder
from trainables.data.given_splits import GivenSplits, count_folds

if TYPE_CHECKING:
    from pathlib import Path

TAGS = {"1": "positive", "2": "negative", "3": "neutral", "4": "positive", "5": "neutral"}


def listed(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def faults_of(data: Path, **files: Path) -> str:
    with pytest.raises(CorpusError) as error:
        load_corpus(data, given=GivenSplits(**files))
    return " ".join(str(error.value).split())


def test_a_column_parts_a_table_by_what_published_data_call_the_parts(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        "guid,text,image,tag,Split",
        "a,one,pics/1.jpg,positive,train",
        "b,two,pics/1.jpg,negative,Dev",
        "c,three,pics/2.jpg,negative,testing",
        "d,four,pics/2.jpg,,test",
        "e,five,pics/2.jpg,positive,",
        "f,six,pics/2.jpg,,",
    )
    corpus = load_corpus(table)
    assert [s.guid for s in corpus.labelled] == ["a", "b", "e"]
    assert corpus.given_folds == (-1, 0, -1)
    assert [(s.guid, s.label) for s in corpus.unlabelled] == [
        ("c", None),
        ("d", None),
        ("f", None),
    ]
    assert corpus.held_out == (1, None, None)


def test_a_column_beside_the_tags_of_a_folder_is_read_alike(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS)
    rows = [f"{guid},{tag},{'val' if guid in '12' else 'train'}" for guid, tag in TAGS.items()]
    listed(lab / "train.txt", "guid,tag,split", *rows)
    corpus = load_corpus(lab)
    assert (corpus.given_folds, corpus.held_out) == ((0, 0, -1, -1, -1), ())


def test_lists_of_their_own_name_pairs_by_guid_or_bring_further_ones(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS, test=("8", "9"))
    val = listed(tmp_path / "val.txt", "guid", "4", "1")
    # 8 was to be predicted, 3 was to be learnt; both are tested, as their tags say.
    test = listed(tmp_path / "test.txt", "guid,tag", "8,neutral", "3,neutral")
    corpus = load_corpus(lab, given=GivenSplits(val=val, test=test))
    assert [s.guid for s in corpus.labelled] == ["1", "2", "4", "5"]
    assert corpus.given_folds == (0, -1, 0, -1)
    assert [s.guid for s in corpus.unlabelled] == ["3", "8", "9"]
    assert corpus.held_out == (NEUTRAL, NEUTRAL, None)
    assert all(sample.label is None for sample in corpus.unlabelled)


def test_a_further_table_brings_pairs_from_its_own_folder(tmp_path: Path) -> None:
    rows = ["a,one,pics/1.jpg,positive", "b,two,pics/2.jpg,negative"]
    table = write_table(tmp_path, "guid,text,image,tag", *rows)
    (tmp_path / "more").mkdir()
    more = write_table(tmp_path / "more", "guid,text,image,tag", "z,far,pics/2.jpg,negative")
    corpus = load_corpus(table, given=GivenSplits(test=more))
    (held,) = corpus.unlabelled
    assert (held.guid, held.image) == ("z", tmp_path / "more" / "pics" / "2.jpg")
    assert corpus.held_out == (1,)


def test_folds_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS)
    folds = listed(tmp_path / "folds.csv", "guid,fold", "1,10", "2,2", "3,fold 1", "4,2", "5,10")
    assert count_folds(folds, Decoder()) == 3
    corpus = load_corpus(lab, given=GivenSplits(folds=folds))
    assert corpus.given_folds == (1, 0, 2, 0, 1)  # 2, 10, fold 1


def test_what_is_held_out_needs_no_fold(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS)
    test = listed(tmp_path / "test.txt", "guid", "3")
    folds = listed(tmp_path / "folds.csv", "guid,fold", "1,a", "2,a", "4,b", "5,b")
    corpus = load_corpus(lab, given=GivenSplits(test=test, folds=folds))
    assert (corpus.given_folds, corpus.held_out) == ((0, 0, 1, 1), (NEUTRAL,))


def test_all_faults_of_given_splits_are_told_at_once(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS, test=("8",))
    val = listed(tmp_path / "val.txt", "guid,tag", "1,negative", "8,", "2,")
    test = listed(tmp_path / "test.txt", "guid", "2")
    told = faults_of(lab, val=val, test=test)
    assert "a pair must have one tag: val.txt: got '1' as negative, and positive" in told
    assert "every pair to validate on must have a tag: val.txt: got '8'" in told
    assert "a pair must be in one part only: test.txt: got '2', as in val" in told


def test_folds_must_be_of_all_pairs_and_of_no_others(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS)
    folds = listed(tmp_path / "folds.csv", "guid,fold", "1,1", "2,2", "3,2", "4,1")
    assert "every labelled pair must be in a fold of folds.csv: got none for '5'" in faults_of(
        lab, folds=folds
    )
    listed(folds, "guid,fold", "1,1", "2,2", "3,2", "4,1", "5,1", "55,1")
    told = faults_of(lab, folds=folds)
    assert "every guid of a fold must be in the data: folds.csv: got '55'; " in told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("guid,fold", "1,1", "2,1"), "a list of folds must have at least two: got 1"),
        (("guid,fold", "1,1", "1,2"), "guid must be unique: folds.csv line 3: got '1' twice"),
        (("guid,fold", "1,1", "2,"), "fold must be a name or a number: folds.csv line 3"),
        (("guid,part", "1,1"), "the first line must name the columns guid,fold"),
    ],
)
def test_a_list_that_is_none_of_folds_is_refused(
    tmp_path: Path, lines: tuple[str, ...], told: str
) -> None:
    folds = listed(tmp_path / "folds.csv", *lines)
    with pytest.raises(CorpusError) as error:
        count_folds(folds, Decoder())
    assert told in " ".join(str(error.value).split())


def test_an_unknown_part_is_refused_with_the_nearest(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        "guid,text,image,tag,split",
        "a,one,pics/1.jpg,positive,tests",
        "b,two,pics/1.jpg,,train",
    )
    told = faults_of(table)
    assert "split must be one of train, val, test: pairs.csv line 2: got 'tests'; " in told
    assert "every pair of the splits train and val must have a tag: pairs.csv line 3" in told


def test_a_given_split_is_part_of_the_digest_and_none_leaves_it_as_it_was(tmp_path: Path) -> None:
    lab = write_lab(tmp_path / "lab", TAGS)
    plain = load_corpus(lab)
    # Worked out before there were given splits.
    assert plain.digest == load_corpus(lab, given=GivenSplits()).digest
    folds = listed(tmp_path / "folds.csv", "guid,fold", "1,1", "2,1", "3,2", "4,2", "5,2")
    test = listed(tmp_path / "test.txt", "guid", "3")
    digests = {
        plain.digest,
        load_corpus(lab, given=GivenSplits(folds=folds)).digest,
        load_corpus(lab, given=GivenSplits(test=test)).digest,
    }
    assert len(digests) == 3
