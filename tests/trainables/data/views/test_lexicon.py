"""The lexicon view: VADER's scores and counts of marks, of the text as it was posted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from trainables.data.sample import Sample
from trainables.data.views import VIEWS
from trainables.data.views.lexicon import LEXICON, lexicon_features, unfit_for_lexicon

POST = "RT @you_2: GREAT day!! soooo happy? #sun #Sea \u2600 https://t.co/Ab!c?d#e"


def features_of(*texts: str) -> list[dict[str, float]]:
    samples = [Sample(str(k), text, None, "") for k, text in enumerate(texts)]
    return [dict(zip(LEXICON.columns, row, strict=True)) for row in lexicon_features(samples)]


def test_a_view_is_known_by_its_name_and_has_as_many_features_as_columns() -> None:
    for name, view in VIEWS.items():
        assert view.name == name
        features = view.features([Sample("1", POST, None, ""), Sample("2", "", None, "")])
        assert (features.shape, features.dtype) == ((2, view.width), np.float32)
        assert view.features([]).shape == (0, view.width)


def test_marks_are_counted_in_the_text_as_it_was_posted() -> None:
    (row,) = features_of(POST)
    counts = {
        "positive_words": 2,  # great, happy; VADER knows neither RT nor sun
        "negative_words": 0,
        "hashtags": 3,  # the link's is one, too
        "exclamation_marks": 3,
        "question_marks": 2,
        "mentions": 1,
        "links": 1,
        "words": 7,  # RT GREAT day soooo happy sun Sea
        "emoji": 1,
        "capitalized_words": 2,  # RT GREAT
        "elongations": 1,
    }
    assert {name: row[name] for name in counts} == pytest.approx(
        {name: math.log(1 + count) for name, count in counts.items()}
    )


def test_scores_are_those_of_the_reference() -> None:
    texts = (POST, "not good at all :(", "a sad, sad river", "")
    analyzer = SentimentIntensityAnalyzer()
    for text, row in zip(texts, features_of(*texts), strict=True):
        said = analyzer.polarity_scores(text)
        assert {name: row[name] for name in said} == pytest.approx(said)


def test_the_strongest_words_are_those_of_the_lexicon() -> None:
    lexicon = SentimentIntensityAnalyzer().lexicon
    (row,) = features_of("a GOOD, lovely but sad and terrible day")
    assert row["strongest_positive"] == pytest.approx(lexicon["lovely"])
    assert row["strongest_negative"] == pytest.approx(lexicon["terrible"])
    assert row["negative_words"] == pytest.approx(math.log(3))
    (neither,) = features_of("a day by the river")
    assert neither["strongest_positive"] == neither["strongest_negative"] == 0


def test_an_empty_text_has_no_features() -> None:
    assert set(features_of("")[0].values()) == {0.0}


def test_a_row_owes_nothing_to_the_others() -> None:
    assert features_of("a sad day", POST)[1] == features_of(POST, "so good!")[0]


def test_words_after_the_first_five_hundred_are_counted_but_not_scored() -> None:
    (long, short) = features_of("good " * 500 + "terrible " * 20_000, "good " * 500)
    assert long["compound"] == short["compound"]
    assert long["neg"] == 0
    assert long["words"] == pytest.approx(math.log(20_501), rel=1e-6)


@given(st.text())
def test_every_text_has_finite_features(text: str) -> None:
    assert all(math.isfinite(value) for value in features_of(text)[0].values())


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["what a day", "caf\u00e9 \u0437"], ""),
        (["123 !?", ""], ""),
        ([], ""),
        (
            ["\u4eca\u65e5\u306f ab"],
            "its words are English, and 60% of the texts' letters are of other scripts",
        ),
    ],
)
def test_texts_of_other_scripts_are_unfit(texts: list[str], said: str) -> None:
    samples = [Sample(str(k), text, None, "") for k, text in enumerate(texts)]
    assert unfit_for_lexicon(samples) == said
