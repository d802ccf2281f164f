# ruff: noqa: RUF001 - the marks of other encodings are what is tested
from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.encodings import Decoder, decode_all, encoding_faults
from trainables.data.text import clean_text

TWEETS = {
    "gb18030": ["今天天气真好", "我很难过", "这是一个美丽的城市", "谢谢大家", "我们去看电影吧"],
    "big5hkscs": ["今天天氣真好", "我很難過", "這是一個美麗的城市", "謝謝大家", "我們去看電影吧"],
    "cp932": ["今日はいい天気ですね", "とても悲しい", "楽しい一日だった", "東京タワーの写真"],
    "euc_jp": ["今日はいい天気ですね", "とても悲しい", "楽しい一日だった", "東京タワーの写真"],
    "cp949": ["오늘 날씨가 정말 좋네요", "너무 슬퍼요", "감사합니다", "맛있는 점심"],
    "cp1251": ["какой прекрасный день", "мне очень грустно", "это было ужасно", "люблю тебя"],
    "koi8-r": ["какой прекрасный день", "мне очень грустно", "это было ужасно", "люблю тебя"],
    "cp1250": ["dziękuję bardzo", "piękny dzień", "źle się czuję", "cześć, jak się masz"],
    "cp1252": [
        "I can’t believe it’s “Friday”…",
        "très déçu de ce café",
        "schöne Grüße – für dich",
    ],
}
# English with what a Chinese program wrote for marks: no single text of these can tell.
MARKED = ["I can’t wait… ", "“hello” from the beach", "so tired… http://t.co/a", "café noir"] + [
    f"day {number} … don’t" for number in range(8)
]


@pytest.mark.parametrize("encoding", TWEETS)
def test_a_few_tweets_together_tell_their_encoding(encoding: str) -> None:
    texts = TWEETS[encoding]
    decoded = decode_all([text.encode(encoding) for text in texts] + ["naïve".encode(), b"plain"])
    assert [each.text for each in decoded] == [*texts, "naïve", "plain"]
    assert [each.encoding for each in decoded] == [encoding] * len(texts) + ["utf-8"] * 2


def test_many_texts_tell_what_none_of_them_can(recwarn: pytest.WarningsRecorder) -> None:
    raws = [text.encode("gb18030") for text in MARKED]
    assert [each.text for each in decode_all(raws)] == MARKED
    # 0x92 and 0x93 begin a character of two bytes in Chinese encodings too.
    texts = [text.replace("…", "!") for text in MARKED]
    assert [each.text for each in decode_all([t.encode("cp1252") for t in texts])] == texts
    assert not recwarn


def test_one_damaged_text_does_not_change_the_encoding_of_all_others() -> None:
    raws = [text.encode("gb18030") for text in MARKED * 3] + [b"cut \xa1"]
    whole = [f"{number} 好的" for number in range(40)]
    decoder = Decoder()
    read = decoder.decode([*raws, *(text.encode("gb18030") for text in whole)], "texts")
    assert read == [*MARKED * 3, "cut \ufffd", *whole]
    assert decoder.notes == [
        "77 of 77 texts are GB18030, not UTF-8; read as such",
        "1 of 77 texts holds bytes that are no GB18030: 1 became U+FFFD",
    ]
    assert decoder.encoding == "gb18030"


@pytest.mark.parametrize(
    ("raw", "text", "encoding", "broken"),
    [
        (b"plain", "plain", "utf-8", 0),
        ("café \U0001f600".encode(), "café \U0001f600", "utf-8", 0),
        (b"\xef\xbb\xbfmarked", "marked", "utf-8", 0),
        ("don’t".encode("utf-16"), "don’t", "utf-16", 0),
        ("don’t".encode("utf-32"), "don’t", "utf-32", 0),
        ("don’t".encode("utf-16-le"), "don’t", "utf-16-le", 0),
        ("don’t go".encode("utf-16-be"), "don’t go", "utf-16-be", 0),
        (b"one \0 zero", "one \0 zero", "utf-8", 0),
        (b"caf\xe9 noir", "café noir", "cp1252", 0),
        (b"\xef\xbb\xbfcut \xf0\x9f\x98", "cut \ufffd", "utf-8", 1),
        ("it’s a déjà vu \U0001f600".encode()[:-1], "it’s a déjà vu \ufffd", "utf-8", 1),
        (b"so tired\xe2\x80", "so tired\ufffd", "utf-8", 1),
        ("né \ufffd".encode() + b"\xff", "né \ufffd\ufffd", "utf-8", 1),
        (b"", "", "utf-8", 0),
    ],
)
def test_one_text_alone_is_read_as_well_as_it_can_be(
    raw: bytes, text: str, encoding: str, broken: int
) -> None:
    assert decode_all([raw]) == [(text, encoding, broken)]


def test_chinese_that_looks_like_damaged_utf8_is_read_with_its_like() -> None:
    raw = "#киев".encode("gb18030")
    assert decode_all([raw])[0].encoding == "utf-8", "alone it cannot tell"
    assert decode_all([raw], expected="gb18030")[0].text == "#киев"
    among = decode_all([raw, *(text.encode("gb18030") for text in TWEETS["gb18030"])])
    assert among[0].text == "#киев"


def test_what_is_expected_is_taken_where_it_decodes_all() -> None:
    raw = "wait…".encode("gb18030")
    assert decode_all([raw], expected="gb18030")[0].text == "wait…"
    assert decode_all([raw, b"caf\xe9 noir"], expected="gb18030")[1].text == "café noir"


@given(st.lists(st.binary(max_size=30), max_size=5), st.sampled_from([None, "gb18030", "cp1252"]))
def test_no_byte_vanishes(raws: list[bytes], asked: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode_all(raws, asked=asked)
    for raw, each in zip(raws, decoded, strict=True):
        if each.broken:
            assert "\ufffd" in each.text
        elif each.encoding == asked:
            assert each.text.encode(asked) == raw


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gb1803", "did you mean 'gb18030'?"),
        ("windows1252", "did you mean 'windows_1252'?"),
        ("klingon", "known are big5, cp1251, cp1252"),
        ("rot13", "--encoding must be an encoding of text, got 'rot13'"),
        ("unicode_escape", "--encoding must be an encoding of text"),
        ("a\0b", "--encoding must be an encoding of text"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(name: str, hint: str) -> None:
    (fault,) = encoding_faults(name)
    assert hint in fault


@pytest.mark.parametrize("name", [None, "GBK", "latin1", "windows-1252", "Shift-JIS", "utf-16"])
def test_an_encoding_may_be_spelt_as_people_do(name: str | None) -> None:
    assert not list(encoding_faults(name))


def test_cleaning_keeps_the_letters_that_were_read_right() -> None:
    raw = "RT @a: “Don’t” worry… #киев 夜食のナン café！".encode("gb18030")
    (read,) = decode_all([raw], expected="gb18030")
    assert clean_text(read.text, "improved") == "don't worry киев 夜食のナン café"
    (read,) = decode_all([b"caf\xe9 \x81\x8d"], asked="cp1252")
    assert (read.text, read.broken) == ("café \ufffd\ufffd", 2)
    assert clean_text(read.text, "basic") == "café", "what cannot be read is no word"
