"""The configs ahead of a search, held against what its space can draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from search.config.plan import make_plan
from search.config.settings import parse
from search.study.cut_coverage import meet_every_cut
from search.study.space import draws
from spaces import SPACES
from spaces.space import Space
from trainables.hyperparameter import Choices, FloatRange, Hyperparameter, IntRange, When
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from trainables.hyperparameter import Domain

EARLY = VARIANTS["early_fusion"]


def depths(configs: list[dict[str, Any]]) -> set[tuple[int, int]]:
    return {(one["text_unfrozen_layers"], one["image_unfrozen_layers"]) for one in configs}


def spaced(name: str, domain: Domain, when: When | None = None) -> Hyperparameter:
    hand_tuned: Any = getattr(EARLY.hand_tuned, name)
    return Hyperparameter(name, hand_tuned, domain, when)


def test_rare_branches_and_depths_are_all_met() -> None:
    # One trial in 96 has each of the depths of the image: random trials would miss some.
    space = Space(
        [
            spaced("head_learning_rate", FloatRange(1e-4, 1e-3)),
            spaced("sampling", Choices("none", "weighted", "undersample")),
            spaced(
                "class_weight_smoothing",
                Choices(0.0, 0.1, 0.2, 0.3),
                When("sampling", "weighted"),
            ),
            spaced("image_unfrozen_layers", IntRange(3, 10), When("class_weight_smoothing", 0.2)),
            spaced("text_unfrozen_layers", IntRange(0, 1)),
        ]
    )
    configs = meet_every_cut(EARLY, space, "both")
    default = EARLY.config().image_unfrozen_layers
    cuts = {
        (one["text_unfrozen_layers"], one.get("image_unfrozen_layers", default)) for one in configs
    }
    assert cuts == {(text, image) for text in range(2) for image in (default, *range(3, 11))}
    assert len(configs) == len(cuts)


def test_a_branch_may_hang_on_a_number() -> None:
    deep = spaced("text_unfrozen_layers", IntRange(3, 5), When("batch_size", 3))
    space = Space([spaced("batch_size", IntRange(1, 3)), deep])
    found = meet_every_cut(EARLY, space, "text")
    assert {one.get("text_unfrozen_layers") for one in found} == {None, 3, 4, 5}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("early_fusion", {(t, i) for t in range(3) for i in range(3)}),
        (
            "clip --fix text_unfrozen_layers=5 --range image_unfrozen_layers=1:9",
            {(5, 1), (5, 2)},
        ),
        ("early_fusion --fix image_unfrozen_layers=7", {(0, 7), (1, 7), (2, 7)}),
    ],
)
def test_a_narrowed_space_needs_no_more_than_it_draws(
    words: str, expected: set[tuple[int, int]]
) -> None:
    plan = make_plan(parse(f"--data demo --model {words}".split()))
    assert depths(meet_every_cut(plan.variant, plan.space, "both")) == expected


@pytest.mark.parametrize(("model", "count"), [("late_fusion", 4), ("clip", 3)])
def test_one_modality_needs_the_cuts_of_its_own_tower(model: str, count: int) -> None:
    # Two ways to pool a tower that is frozen whole; what pools later pools one prefix.
    plan = make_plan(parse(f"--data demo --modality text --model {model}".split()))
    assert len(meet_every_cut(plan.variant, plan.space, "text")) == count


@pytest.mark.parametrize("name", SPACES)
def test_no_random_trial_needs_another_cut(name: str) -> None:
    variant, space = VARIANTS[name], SPACES[name]

    def cuts(params: dict[str, Any]) -> frozenset[Any]:
        made = variant.readings(variant.config.from_params(params))
        return frozenset(reading.prefix for reading in made.values())

    met = [cuts(one) for one in meet_every_cut(variant, space, "both")]
    assert len(set(met)) == len(met), "one config for each"
    assert {cuts(one) for one in draws(space, 150, seed=7)} <= set(met)


def test_every_config_is_one_that_the_space_draws() -> None:
    space = SPACES["late_fusion"]
    known = {name for one in draws(space, 64, seed=0) for name in one}
    for one in meet_every_cut(VARIANTS["late_fusion"], space, "both"):
        assert one.keys() <= known
        assert ("fusion_weight" in one) == (one["fusion"] == "weighted")
