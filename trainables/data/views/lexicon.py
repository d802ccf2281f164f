"""The text as it was posted, for what cleaning and small encoders lose: sentiment words and marks.

Sentiment comes from VADER's lexicon and rules, which are of English. It reads the words of
hashtags, emoticons, emoji, capitals and negations. Beside its scores, which weigh a whole text,
stand the strongest words of each side and counts of words and marks.

Source:
    Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
    Media Text", ICWSM 2014.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from trainables.data.views.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainables.data.sample import Sample

_SCORES = ("neg", "neu", "pos", "compound")  # VADER's names
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_MENTION = re.compile(r"@\w+")
_WORD = re.compile(r"\w+")
# A letter three times or more, as in "soooo".
_ELONGATION = re.compile(r"([^\W\d_])\1\1+")
# VADER's time grows with the square of the number of words; a post has a few dozen.
_MOST_WORDS = 500
_MAJORITY = 0.5

_STRONGEST = ("strongest_positive", "strongest_negative")
_COUNTS = (
    *("positive_words", "negative_words"),
    *("hashtags", "exclamation_marks", "question_marks", "mentions", "links", "words"),
    *("emoji", "capitalized_words", "elongations"),
)


def lexicon_features(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Read sentiment words and marks from texts.

    Args:
        samples: N samples; of each its raw text is read, of VADER's scores the first 500 words.

    Returns:
        Shape (N, 17), float32: VADER's shares of negative, neutral and positive text, in [0, 1],
        and its compound score, in [-1, 1]; the valence of the most positive word, in [0, 4], and
        of the most negative one, in [-4, 0]; then log(1 + count) of each count.
    """
    import numpy as np  # noqa: PLC0415 - the command line, which only needs names, does without

    rows = [_row(sample.text) for sample in samples]
    return np.array(rows, np.float32).reshape(len(samples), len(LEXICON.columns))


def _row(text: str) -> list[float]:
    analyzer = _analyzer()
    polarity = analyzer.polarity_scores(" ".join(text.split()[:_MOST_WORDS]))
    words = _WORD.findall(_MENTION.sub(" ", _LINK.sub(" ", text)))
    valences = [analyzer.lexicon.get(word.lower(), 0.0) for word in words]
    counts = (
        sum(valence > 0 for valence in valences),
        sum(valence < 0 for valence in valences),
        *_counts(text, words),
    )
    return [
        *(polarity[name] for name in _SCORES),
        max([0.0, *valences]),
        min([0.0, *valences]),
        *(math.log1p(count) for count in counts),
    ]


@cache
def _analyzer() -> Any:
    # Its files are read when it is made. The driver, which only needs names, does without.
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415

    return SentimentIntensityAnalyzer()


def _counts(text: str, words: Sequence[str]) -> tuple[int, ...]:
    return (
        *(text.count(mark) for mark in "#!?@"),
        len(_LINK.findall(text)),
        len(words),
        sum(map(_is_emoji, text)),
        sum(len(word) > 1 and word.isupper() for word in words),
        len(_ELONGATION.findall(text)),
    )


def _is_emoji(character: str) -> bool:
    return unicodedata.category(character) == "So"


def unfit_for_lexicon(samples: Sequence[Sample]) -> str:
    """Return why the lexicon cannot read texts: fewer than half of their letters are Latin.

    Returns:
        A sentence; empty if it can, or there is no letter.
    """
    letters = Counter(c for sample in samples for c in sample.text if c.isalpha())
    latin = sum(n for c, n in letters.items() if unicodedata.name(c, "").startswith("LATIN"))
    if latin >= _MAJORITY * letters.total():
        return ""
    share = 1 - latin / letters.total()
    return f"its words are English, and {share:.0%} of the texts' letters are of other scripts"


_HOW = (
    "of the text as it was posted, not cleaned. neg, neu, pos and compound: polarity_scores of the"
    f" SentimentIntensityAnalyzer of vaderSentiment for its first {_MOST_WORDS} words at white"
    f" space, joined by spaces. Words are matches of {_WORD.pattern} after links"
    f" ({_LINK.pattern}, in any case) and then mentions ({_MENTION.pattern}) became spaces; the"
    " valence of one is analyzer.lexicon.get(word.lower(), 0). strongest_positive: the largest"
    " valence, at least 0; strongest_negative: the smallest, at most 0. The others are log(1 +"
    " count): words of valence above and below 0; the characters #, !, ? and @; links; words;"
    " characters of the Unicode category So; words of two letters or more that str.isupper calls"
    f" upper; matches of {_ELONGATION.pattern}"
)

LEXICON = View(
    name="lexicon",
    reads="text",
    columns=(*_SCORES, *_STRONGEST, *_COUNTS),
    how=_HOW,
    features=lexicon_features,
    unfit=unfit_for_lexicon,
)
