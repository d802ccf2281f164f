from __future__ import annotations

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.study.space import distributions, draws
from spaces.space import Space
from trainables.hyperparameter import Choices, FloatRange, Hyperparameter, IntRange, When

SPACE = Space(
    [
        Hyperparameter("rate", 1e-2, FloatRange(1e-4, 1e-1, log=True)),
        Hyperparameter("width", 200, IntRange(100, 500, step=100)),
        Hyperparameter("kind", "a", Choices("a", "b")),
        Hyperparameter("only_a", 0.5, FloatRange(0.0, 1.0), When("kind", "a")),
        Hyperparameter("batch", 32, Choices(16, 32, 64)),
    ]
)


def test_the_distributions_of_every_branch_are_given() -> None:
    assert distributions(SPACE) == {
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "width": IntDistribution(100, 500, step=100),
        "kind": CategoricalDistribution(("a", "b")),
        "only_a": FloatDistribution(0.0, 1.0),
        "batch": CategoricalDistribution((16, 32, 64)),
    }


def test_every_draw_lies_in_the_distributions() -> None:
    given = distributions(SPACE)
    for params in draws(SPACE, 50, seed=3):
        for name, value in params.items():
            assert given[name]._contains(given[name].to_internal_repr(value)), (name, value)
        assert params["width"] % 100 == 0


def test_the_same_seed_draws_the_same_trials() -> None:
    assert draws(SPACE, 5, seed=1) == draws(SPACE, 5, seed=1)
    assert draws(SPACE, 5, seed=1) != draws(SPACE, 5, seed=2)
