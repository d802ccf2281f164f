from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.study.space import EmptyRangeError, NarrowedSpace, distributions, draws

if TYPE_CHECKING:
    import optuna


def space(trial: optuna.Trial) -> None:
    trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    trial.suggest_int("width", 100, 500, step=100)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        trial.suggest_float("only_a", 0.0, 1.0)
    trial.suggest_categorical("batch", [16, 32, 64])


def test_the_parameters_of_every_branch_are_found() -> None:
    assert distributions(space) == {
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "width": IntDistribution(100, 500, step=100),
        "kind": CategoricalDistribution(("a", "b")),
        "only_a": FloatDistribution(0.0, 1.0),
        "batch": CategoricalDistribution((16, 32, 64)),
    }


@pytest.mark.filterwarnings("error")  # Optuna warns of an end that is off the grid
def test_a_range_is_cut_to_the_grid_of_the_space() -> None:
    narrowed = NarrowedSpace(space, ranges={"width": (150, 450), "rate": (1e-3, 1.0)})
    found = distributions(narrowed)
    assert found["width"] == IntDistribution(200, 400, step=100)
    assert found["rate"] == FloatDistribution(1e-3, 1e-1, log=True)


def test_a_range_keeps_the_choices_inside_it() -> None:
    found = distributions(NarrowedSpace(space, ranges={"batch": (20, 64)}))
    assert found["batch"] == CategoricalDistribution((32, 64))


def test_a_range_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(EmptyRangeError, match="--range rate=2:3 leaves nothing"):
        distributions(NarrowedSpace(space, ranges={"rate": (2, 3)}))


def test_a_held_value_is_in_every_trial_and_steers_its_branch() -> None:
    for params in draws(NarrowedSpace(space, fixed={"kind": "b", "extra": 7}), 20, seed=0):
        assert params["kind"] == "b"
        assert params["extra"] == 7
        assert "only_a" not in params


def test_a_held_value_may_lie_outside_the_space() -> None:
    assert draws(NarrowedSpace(space, fixed={"width": 7}), 1, seed=0)[0]["width"] == 7


def test_the_same_seed_draws_the_same_trials() -> None:
    assert draws(space, 5, seed=1) == draws(space, 5, seed=1)
    assert draws(space, 5, seed=1) != draws(space, 5, seed=2)


@settings(deadline=None, max_examples=50)
@given(
    rate=st.floats(1e-6, 10),
    width=st.integers(0, 1000),
    batch=st.integers(0, 100),
    low=st.floats(1e-4, 1e-2),
)
def test_the_nearest_point_is_inside(rate: float, width: int, batch: int, low: float) -> None:
    narrowed = NarrowedSpace(space, ranges={"rate": (low, 1e-2), "width": (200, 500)})
    params = {"rate": rate, "width": width, "kind": "zz", "batch": batch, "unknown": 1}
    moved = narrowed.inside(params)
    found = distributions(narrowed)
    assert moved.keys() == {"rate", "width", "kind", "batch"}
    for name, value in moved.items():
        assert found[name]._contains(found[name].to_internal_repr(value)), (name, value)
    assert moved["width"] % 100 == 0


def test_a_point_inside_stays_where_it_is() -> None:
    params = {"rate": 1e-3, "width": 300, "kind": "a", "only_a": 0.5, "batch": 32}
    assert NarrowedSpace(space).inside(params) == params
