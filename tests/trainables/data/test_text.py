from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.text import clean_text

if TYPE_CHECKING:
    from trainables.config import TextCleaning

CLEANINGS = st.sampled_from(["basic", "improved"])
PIECES = [
    "RT",
    "@bob_1",
    "http://t.co/x",
    "HTTPS://a",
    "htt",
    "h",
    "t",
    "#",
    "!",
    "_",
    "\u2019",
    "\u0130",
    " ",
]
TWEETS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join)


@pytest.mark.parametrize(
    ("text", "basic", "improved"),
    [
        ("RT @AmitSwami77: I LOVE it", "i love it", "i love it"),
        ("ART START RTs RT", "art start rts", "art start rts"),
        ("so #happy!! :) 100%", "so happy 100", "so happy 100"),
        ("see http://t.co/N8 and htt\u2026 now", "see and now", "see and now"),
        ("#royalshttp://buff.ly/1Mo HTTPS://X.y!z end", "royals end", "royals end"),
        ("I don't, can\u2019t, won`t", "i dont cant wont", "i don't can't won't"),
        ("live @ Wimbledon @a @b_2.", "live wimbledon", "live wimbledon"),
        ("snake_case mother-in-law", "snakecase motherinlaw", "snakecase motherinlaw"),
        (
            "  Caf\u00e9\t\u00c9T\u00c9 \n \u6625 ",
            "caf\u00e9 \u00e9t\u00e9 \u6625",
            "caf\u00e9 \u00e9t\u00e9 \u6625",
        ),
        ('Forget #Twilight!"The addiction"', "forget twilight the addiction", None),
        ("\U0001f600 \u2026 !!", "", ""),
    ],
)
def test_tweets_are_cleaned_as_by_hand(text: str, basic: str, improved: str | None) -> None:
    assert clean_text(text, "basic") == basic
    assert clean_text(text, "improved") == (basic if improved is None else improved)


@pytest.mark.parametrize(
    ("text", "minimal"),
    [
        ("RT @AmitSwami77: I LOVE it", ": I LOVE it"),
        ("so #happy!! :)\t100% \U0001f600", "so #happy!! :) 100% \U0001f600"),
        ("see HTTP://t.co/N8, not htt\u2026 or RThttp://t.co", "see not or"),
        ("live @ Wimbledon @a\n@b_2.", "live @ Wimbledon ."),
        ("I don't, can\u2019t", "I don't, can\u2019t"),
        ("@a http://b RT", ""),
    ],
)
def test_minimal_cleaning_takes_out_no_more_than_links_and_mentions(
    text: str, minimal: str
) -> None:
    assert clean_text(text, "minimal") == minimal


@given(TWEETS, CLEANINGS | st.just("minimal"))
def test_cleaning_twice_is_cleaning_once(text: str, cleaning: TextCleaning) -> None:
    once = clean_text(text, cleaning)
    assert clean_text(once, cleaning) == once


@given(TWEETS, CLEANINGS)
def test_only_lower_case_words_are_left(text: str, cleaning: TextCleaning) -> None:
    cleaned = clean_text(text, cleaning)
    assert cleaned == cleaned.lower() == " ".join(cleaned.split())
    assert "htt" not in cleaned
    kept = " '" if cleaning == "improved" else " "
    assert all(character.isalnum() or character in kept for character in cleaned)
