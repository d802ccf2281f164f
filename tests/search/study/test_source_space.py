"""Backbones to choose among join the space; what a second tower adds hangs on two together."""

from __future__ import annotations

import pytest

from search.study.source_space import source_faults, source_space
from search.study.space import draws
from spaces import SPACES
from trainables.hyperparameter import Choices, FloatRange, IntRange
from trainables.variants import VARIANTS

CHOICES = {"text_backbone": ("a", "b", "a+b"), "image_backbone": ("c", "d", "c+d")}
SPACE = source_space(SPACES["late_fusion"], VARIANTS["late_fusion"].config, CHOICES)


def test_the_choices_stand_last_each_with_the_layers_and_rate_of_a_second_tower() -> None:
    assert list(SPACE.domains.items()) == [
        *SPACES["late_fusion"].domains.items(),
        ("text_backbone", Choices("a", "b", "a+b")),
        ("text_second_unfrozen_layers", IntRange(0, 2)),
        ("text_second_learning_rate", FloatRange(1e-5, 3e-4, log=True)),
        ("image_backbone", Choices("c", "d", "c+d")),
        ("image_second_unfrozen_layers", IntRange(0, 2)),
        ("image_second_learning_rate", FloatRange(1e-5, 3e-4, log=True)),
    ]


@pytest.mark.parametrize("role", ["text", "image"])
def test_a_second_tower_is_drawn_for_where_two_are_read_together(role: str) -> None:
    for params in draws(SPACE, 40, seed=0):
        has = {f"{role}_second_unfrozen_layers", f"{role}_second_learning_rate"} & params.keys()
        assert len(has) == 2 * ("+" in params[f"{role}_backbone"])


def test_a_checkpoint_chooses_the_towers_of_both_roles() -> None:
    choices = {"clip_backbone": ("a", "b", "a+b")}
    space = source_space(SPACES["clip"], VARIANTS["clip"].config, choices)
    assert list(space)[-5:] == [
        "clip_backbone",
        "text_second_unfrozen_layers",
        "text_second_learning_rate",
        "image_second_unfrozen_layers",
        "image_second_learning_rate",
    ]


def test_a_held_single_source_has_no_second_tower() -> None:
    held = SPACE.fix({"text_backbone": "b"})
    assert [name for name in held if "_second_" in name] == [
        "image_second_unfrozen_layers",
        "image_second_learning_rate",
    ]


def test_without_a_choice_a_space_stays_as_it_is() -> None:
    same = source_space(SPACES["clip"], VARIANTS["clip"].config, {})
    assert dict(same) == dict(SPACES["clip"])


def test_a_held_source_must_be_one_of_several() -> None:
    assert list(source_faults({"text_backbone": "ab", "batch_size": 4}, CHOICES, "--fix")) == [
        "--fix text_backbone must be a source or two of them, got 'ab'; did you mean 'a+b'?"
    ]
    assert list(source_faults({"clip_backbone": "a"}, {}, "--fix")) == [
        "--fix clip_backbone chooses among several --backbone clip=SOURCE, got one"
    ]
