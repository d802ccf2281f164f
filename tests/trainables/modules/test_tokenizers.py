"""Tokenizers: deterministic ids within the length asked for, not padded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from transformers import AutoTokenizer

from trainables.modules.tokenizers import HashTokenizer, PretrainedTokenizer, is_hashed

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
