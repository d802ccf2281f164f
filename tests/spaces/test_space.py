"""The edits of a space, and what it lists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.study.space import draws
from spaces.space import EmptyRangeError, Space, nearest_value
from trainables.hyperparameter import Choices, FloatRange, Hyperparameter, IntRange, When

RATE = Hyperparameter("rate", 1e-2, FloatRange(1e-4, 1e-1, log=True))
WIDTH = Hyperparameter("width", 200, IntRange(100, 500, step=100))
KIND = Hyperparameter("kind", "a", Choices("a", "b"))
ONLY_A = Hyperparameter("only_a", 0.5, FloatRange(0.0, 1.0), When("kind", "a"))
BATCH = Hyperparameter("batch", 32, Choices(16, 32, 64))
SPACE = Space([RATE, WIDTH, KIND, ONLY_A, BATCH])


def test_a_space_lists_what_it_draws_in_order() -> None:
    assert SPACE.domains == {
        "rate": FloatRange(1e-4, 1e-1, log=True),
        "width": IntRange(100, 500, step=100),
        "kind": Choices("a", "b"),
        "only_a": FloatRange(0.0, 1.0),
        "batch": Choices(16, 32, 64),
    }
    assert list(SPACE) == list(SPACE.domains)
    assert SPACE["only_a"] == ONLY_A


def test_what_has_no_domain_is_not_drawn() -> None:
    assert list(Space([Hyperparameter("clip", 1.0), RATE])) == ["rate"]


def test_a_condition_must_name_what_stands_before() -> None:
    with pytest.raises(
        ValueError, match="the condition of only_a must name one before it, got 'kind'"
    ):
        Space([ONLY_A, KIND])


def test_a_condition_decides_in_every_trial() -> None:
    for params in draws(SPACE, 30, seed=0):
        assert ("only_a" in params) == (params["kind"] == "a")


def test_a_condition_may_hang_on_a_conditional_one() -> None:
    inner = Hyperparameter("inner", 1, IntRange(1, 3), When("kind", "b"))
    innermost = Hyperparameter("innermost", True, Choices(True, False), When("inner", 2, 3))
    for params in draws(Space([KIND, inner, innermost]), 60, seed=0):
        assert ("innermost" in params) == (params.get("inner") in {2, 3})


def test_an_edit_leaves_the_space_as_it_was() -> None:
    before = dict(SPACE)
    SPACE.fix({"kind": "b"}).within({"rate": (1e-3, 1e-2)}).without({"width"})
    assert dict(SPACE) == before


def test_a_range_is_cut_to_the_grid_of_the_space() -> None:
    cut = SPACE.within({"width": (150, 450), "rate": (1e-3, 1.0)}).domains
    assert cut["width"] == IntRange(200, 400, step=100)
    assert cut["rate"] == FloatRange(1e-3, 1e-1, log=True)


def test_a_range_keeps_the_choices_inside_it() -> None:
    assert SPACE.within({"batch": (20, 64)}).domains["batch"] == Choices(32, 64)


@pytest.mark.parametrize(
    ("name", "ends", "message"),
    [
        ("rate", (2, 3), "rate=2:3 leaves nothing: the space draws it in [0.0001, 0.1]"),
        (
            "width",
            (201, 299),
            "width=201:299 leaves nothing: the space draws it in [100, 500] in steps of 100",
        ),
        ("batch", (1, 9), "batch=1:9 leaves nothing: the space draws it one of [16, 32, 64]"),
    ],
)
def test_a_range_that_leaves_nothing_is_refused(
    name: str, ends: tuple[float, float], message: str
) -> None:
    with pytest.raises(EmptyRangeError) as error:
        SPACE.within({name: ends})
    assert str(error.value) == f"--range {message}"


def test_values_to_choose_among_stand_in_place_of_a_domain_or_last() -> None:
    chosen = SPACE.choose({"extra": ("x", "y"), "only_a": (0.1, 2.0)})
    assert list(chosen) == ["rate", "width", "kind", "only_a", "batch", "extra"]
    assert chosen.domains["only_a"] == Choices(0.1, 2.0)
    for params in draws(chosen, 20, seed=0):
        assert params["extra"] in {"x", "y"}
        assert ("only_a" in params) == (params["kind"] == "a")


def test_values_leave_choices_and_nothing_else() -> None:
    left = SPACE.leave_out({"batch": {32}, "width": {100}})
    assert left.domains["batch"] == Choices(16, 64)
    assert left.domains["width"] == SPACE.domains["width"]


def test_a_held_value_is_in_every_trial_in_its_place_and_steers_its_branch() -> None:
    held = SPACE.fix({"kind": "b", "extra": 7, "another": 8})
    assert list(held) == ["rate", "width", "kind", "batch", "another", "extra"]
    for params in draws(held, 20, seed=0):
        assert (params["kind"], params["extra"], params["another"]) == ("b", 7, 8)


def test_a_held_value_may_lie_outside_the_space() -> None:
    assert SPACE.fix({"width": 7}).domains["width"] == Choices(7)


def test_a_held_value_has_no_condition() -> None:
    for params in draws(SPACE.fix({"only_a": 0.25}), 20, seed=0):
        assert params["only_a"] == 0.25
    assert SPACE.fix({"kind": "b", "only_a": 0.25}).domains["only_a"] == Choices(0.25)


@pytest.mark.parametrize(("hand_tuned", "drawn"), [("a", True), ("b", False)])
def test_the_hand_tuned_value_of_what_is_left_out_decides_its_branch(
    hand_tuned: str, drawn: bool
) -> None:
    kind = Hyperparameter("kind", hand_tuned, Choices("a", "b"))
    left = Space([kind, ONLY_A, BATCH]).without({"kind"})
    assert list(left) == ["only_a", "batch"] if drawn else ["batch"]
    assert all(("only_a" in params) == drawn for params in draws(left, 5, seed=0))


def test_a_branch_that_no_value_opens_is_gone_with_all_that_hangs_on_it() -> None:
    inner = Hyperparameter("inner", 1, IntRange(1, 3), When("kind", "b"))
    innermost = Hyperparameter("innermost", True, Choices(True, False), When("inner", 1))
    space = Space([KIND, inner, innermost, BATCH])
    assert list(space.replace({"kind": Choices("a")})) == ["kind", "batch"]
    assert list(space.fix({"kind": "a"})) == ["kind", "batch"]
    assert list(space.within({"inner": (2, 3)})) == ["kind", "inner", "batch"]


def test_combinations_are_all_values_of_some_and_the_first_of_the_others() -> None:
    rest = {"rate": 1e-4, "batch": 16}
    assert SPACE.combinations(()) == [{**rest, "width": 100, "kind": "a", "only_a": 0.0}]
    found = SPACE.combinations({"width", "only_a"})
    expected = [
        {**rest, "width": width, "kind": "a", "only_a": end}
        for width in (100, 200, 300, 400, 500)
        for end in (0.0, 1.0)
    ] + [{**rest, "width": width, "kind": "b"} for width in (100, 200, 300, 400, 500)]
    assert len(found) == len(expected) == 15
    assert all(one in found for one in expected)


@settings(deadline=None, max_examples=50)
@given(
    rate=st.floats(1e-6, 10),
    width=st.integers(0, 1000),
    batch=st.integers(0, 100),
    low=st.floats(1e-4, 1e-2),
)
def test_the_nearest_point_is_inside(rate: float, width: int, batch: int, low: float) -> None:
    space = SPACE.within({"rate": (low, 1e-2), "width": (200, 500)})
    params: dict[str, Any] = {"rate": rate, "width": width, "kind": "zz", "batch": batch}
    moved: Any = space.inside({**params, "unknown": 1})
    assert moved.keys() == params.keys()
    assert low <= moved["rate"] <= 1e-2
    assert moved["width"] in {200, 300, 400, 500}
    assert abs(moved["width"] - min(max(width, 200), 500)) <= 50
    assert moved["kind"] == "a"
    assert abs(moved["batch"] - batch) == min(abs(each - batch) for each in (16, 32, 64))


def test_a_point_inside_stays_where_it_is_and_gets_what_is_held() -> None:
    params = {"rate": 1e-3, "width": 300, "kind": "a", "only_a": 0.5, "batch": 32}
    assert SPACE.inside(params) == params
    assert SPACE.fix({"width": 7, "extra": 1}).inside(params) == {
        **params,
        "width": 7,
        "extra": 1,
    }


def test_the_nearest_of_a_choice_of_words_is_the_first() -> None:
    assert nearest_value("c", Choices("a", "b")) == "a"
