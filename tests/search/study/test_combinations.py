"""What trials of a space can read: asked of the variant, nearest to the hand-tuned first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from search.study.combinations import combinations
from spaces.space import Space
from trainables.hyperparameter import Choices, FloatRange, Hyperparameter, IntRange
from trainables.variants import VARIANTS

LATE = VARIANTS["late_fusion"]
HAND_TUNED = asdict(LATE.hand_tuned)  # text_pooling=mean, lexicon=False


SPACE = Space(
    [
        Hyperparameter("text_pooling", "mean", Choices("cls", "mean")),
        Hyperparameter("lexicon", False, Choices(False, True)),
        Hyperparameter("hidden_width", 64, Choices(64, 128)),  # what a head does with it
        Hyperparameter("text_unfrozen_layers", 2, IntRange(0, 2)),
        Hyperparameter("head_dropout", 0.3, FloatRange(0.1, 0.5)),
    ]
)


def read(space: Space, modality: Any = "both", **most: int) -> list[dict[str, Any]]:
    return [dict(one.params) for one in combinations(LATE, space, modality, HAND_TUNED, **most)]


def test_every_combination_of_what_is_read_is_there_once() -> None:
    assert read(SPACE) == [
        {"text_pooling": "mean", "lexicon": False},
        {"text_pooling": "cls", "lexicon": False},
        {"text_pooling": "mean", "lexicon": True},
        {"text_pooling": "cls", "lexicon": True},
    ]


def test_what_is_held_is_read_by_all() -> None:
    held = SPACE.fix({"lexicon": True, "hidden_width": 64})
    assert read(held) == [
        {"text_pooling": "mean", "lexicon": True},
        {"text_pooling": "cls", "lexicon": True},
    ]


def test_what_is_not_there_is_not_read() -> None:
    unread = SPACE.without(LATE.unread("image"))
    assert read(unread, "image") == [{}]


def test_values_that_read_alike_are_one_combination() -> None:
    blip = VARIANTS["blip"]
    fusions = Space([Hyperparameter("fusion", "add", Choices("add", "concat", "cross"))])
    hand_tuned = asdict(blip.hand_tuned)  # adds
    first, second = combinations(blip, fusions, "both", hand_tuned)
    assert first.params == {"fusion": "add"}
    assert list(first.alike) == [{"fusion": "add"}, {"fusion": "concat"}]
    assert second.params == {"fusion": "cross"}


@pytest.mark.parametrize(("most", "count"), [(4, 4), (3, 3), (1, 3)])
def test_too_many_are_cut_to_those_near_the_hand_tuned_config(most: int, count: int) -> None:
    # One is the hand-tuned config's, two are one choice away and one is two.
    assert read(SPACE, most=most) == read(SPACE)[:count]
