"""Tokenizers: deterministic ids within the length asked for, not padded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from trainables.modules.backbones.tokenizers import HashTokenizer, PretrainedTokenizer, is_hashed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture(scope="module")
def wordpiece(weights: Mapping[str, str]) -> PretrainedTokenizer:
    return PretrainedTokenizer(AutoTokenizer.from_pretrained(weights["bert"]))


def test_hashed_words_are_buckets_of_their_checksum() -> None:
    bucket = 3 + zlib.crc32(b"lovely") % 97
    assert HashTokenizer(100).encode(["lovely day lovely"], 32)[0][1::2] == [bucket, bucket]


def test_a_hashed_text_begins_with_1_and_ends_with_2() -> None:
    (ids,) = HashTokenizer(100).encode(["a lovely day"], 32)
    assert (len(ids), ids[0], ids[-1]) == (5, 1, 2)
    assert HashTokenizer(100).encode([""], 32) == [[1, 2]]


def test_hashed_words_never_meet_the_special_ids() -> None:
    words = [f"word{i}" for i in range(300)]
    (ids,) = HashTokenizer(8).encode([" ".join(words)], 400)
    assert set(ids[1:-1]) == {3, 4, 5, 6, 7}


def test_hashing_cuts_off_what_exceeds_the_length() -> None:
    (ids,) = HashTokenizer(100).encode(["one two three four five"], 4)
    assert (len(ids), ids[0], ids[-1]) == (4, 1, 2)


def test_a_saved_hash_tokenizer_is_known_by_its_file(
    tmp_path: Path, weights: Mapping[str, str]
) -> None:
    from pathlib import Path

    assert not is_hashed(tmp_path)
    HashTokenizer(100).save(tmp_path)
    assert is_hashed(tmp_path)
    assert not is_hashed(Path(weights["bert"]))


def test_wordpiece_splits_unknown_words_in_pieces(wordpiece: PretrainedTokenizer) -> None:
    known, split = wordpiece.encode(["lovely day", "days"], 32)
    assert len(known) == 2 + 2
    assert len(split) == 2 + 2  # day, ##s
    assert known[0] == split[0] == 2
    assert known[-1] == split[-1] == 3


def test_wordpiece_cuts_off_what_exceeds_the_length(wordpiece: PretrainedTokenizer) -> None:
    short, long = wordpiece.encode(["day", "day " * 50], 8)
    assert len(short) == 3
    assert len(long) == 8
    assert long[-1] == 3


def test_a_saved_wordpiece_tokenizer_encodes_the_same(
    tmp_path: Path, wordpiece: PretrainedTokenizer
) -> None:
    wordpiece.save(tmp_path)
    again = PretrainedTokenizer(AutoTokenizer.from_pretrained(tmp_path))
    texts = ["what a lovely day", "don't", ""]
    assert again.encode(texts, 16) == wordpiece.encode(texts, 16)
    assert again.pad_id == wordpiece.pad_id == 0


@pytest.fixture
def bertweet(tmp_path: Path) -> PretrainedTokenizer:
    """A tokenizer that runs in Python: it writes merges in another form than it reads them."""
    folder = tmp_path / "bertweet"
    folder.mkdir()
    pieces = (
        "l@@",
        "o@@",
        "v@@",
        "e",
        "d@@",
        "a@@",
        "y",
        "lov@@",
        "love",
        "da@@",
        "day",
        "a",
        "sad",
    )
    (folder / "vocab.txt").write_text("".join(f"{piece} 9\n" for piece in pieces))
    (folder / "bpe.codes").write_text("l o 9\nlo v 8\nlov e</w> 7\nd a 6\nda y</w> 5\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertweetTokenizer"}')
    return PretrainedTokenizer(AutoTokenizer.from_pretrained(folder))


def test_a_tokenizer_that_writes_what_it_does_not_read_is_saved_as_it_was(
    tmp_path: Path, bertweet: PretrainedTokenizer
) -> None:
    (tmp_path / "saved").mkdir()
    bertweet.save(tmp_path / "saved")
    again = PretrainedTokenizer(AutoTokenizer.from_pretrained(tmp_path / "saved"))
    texts = ["love a day", "sad day", "lovely"]
    assert again.encode(texts, 16) == bertweet.encode(texts, 16)
    assert len(bertweet.encode(["love a day"], 16)[0]) == 2 + 3


def test_a_tokenizer_that_cannot_be_saved_as_it_is_says_so(
    tmp_path: Path, bertweet: PretrainedTokenizer
) -> None:
    from pathlib import Path

    Path(bertweet._tokenizer.merges_file).unlink()
    (tmp_path / "saved").mkdir()
    with pytest.raises(ValueError, match=r"^a BertweetTokenizer reads other tokens once it is"):
        bertweet.save(tmp_path / "saved")


def test_a_tokenizer_in_python_says_where_whole_words_are(bertweet: PretrainedTokenizer) -> None:
    text = "love sady a"
    (ids,) = bertweet.encode([text], 16)
    spans = bertweet.spans(text, 16)
    assert len(spans) == len(ids) > 2 + 3  # the word in the middle is in pieces
    assert [text[slice(*span)] for span in (spans[0], spans[1], spans[2], *spans[-2:])] == [
        *("", "love", "sady"),
        *("a", ""),
    ]
    assert set(spans[2:-2]) == {(5, 9)}


def test_a_tokenizer_says_how_its_files_make_its_ids_elsewhere(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    library = AutoTokenizer.from_pretrained(weights["bert"], eos_token="day")
    ends = PretrainedTokenizer(library, causal=True)
    ends.save(tmp_path)
    rule = ends.described(6)
    elsewhere = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    elsewhere.no_padding()
    elsewhere.enable_truncation(rule["most_tokens"])
    for text, length in (("a day by the river", 3), ("what a lovely sad river by", 6)):
        ids = elsewhere.encode(text).ids
        if rule["last_id"] in ids:
            ids = ids[: ids.index(rule["last_id"]) + 1]
        assert [ids] == ends.encode([text], 6)
        assert len(ids) == length
    assert "last_id" not in PretrainedTokenizer(library).described(6)


@pytest.mark.parametrize("longest", [8, None])
def test_no_text_is_longer_than_its_model_has_places(
    wordpiece: PretrainedTokenizer, longest: int | None
) -> None:
    limited = PretrainedTokenizer(wordpiece._tokenizer, longest=longest)
    if longest is None:
        limited.encode(["a day"], 9)
        return
    for tokenizer in (limited, HashTokenizer(99, longest)):
        tokenizer.encode(["a day"], 8)
        with pytest.raises(ValueError, match=r"--text-length must be <= 8 for .*, got 9"):
            tokenizer.encode(["a day"], 9)


def test_unknown_words_have_an_id_where_a_tokenizer_has_one(
    wordpiece: PretrainedTokenizer,
) -> None:
    assert wordpiece.encode(["\u4f60"], 8)[0][1] == wordpiece.unknown_id == 1
    assert HashTokenizer(99).unknown_id is None
