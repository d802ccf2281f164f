"""A field of a config is the one home of a hyperparameter; subclasses change parts of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from trainables.hyperparameter import (
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Choices,
    FloatRange,
    Hyperparameter,
    IntRange,
    Rule,
    When,
    hyperparameter,
    hyperparameters_of,
)


@dataclass(frozen=True, kw_only=True)
class Base:
    rate: float = hyperparameter(0.1, FloatRange(0.0, 1.0), rule=POSITIVE, doc="Speed.")
    depth: int = hyperparameter(rule=AT_LEAST_0, doc="Layers.")
    kind: str = hyperparameter("a", doc="Which.")
    plain: int = 7


@dataclass(frozen=True, kw_only=True)
class Child(Base):
    rate: float = 0.5
    kind: str = hyperparameter("b", Choices("a", "b"))
    depth: int = hyperparameter(2, IntRange(0, 4, step=2), when=When("kind", "a"))


@dataclass(frozen=True, kw_only=True)
class Grandchild(Child):
    kind: str = "a"
    extra: bool = hyperparameter(False, Choices(False, True))


def test_a_subclass_inherits_what_it_leaves_out() -> None:
    assert hyperparameters_of(Child) == {
        "rate": Hyperparameter("rate", 0.5, FloatRange(0.0, 1.0), None, POSITIVE, "Speed."),
        "kind": Hyperparameter("kind", "b", Choices("a", "b"), None, None, "Which."),
        "depth": Hyperparameter(
            "depth", 2, IntRange(0, 4, step=2), When("kind", "a"), AT_LEAST_0, "Layers."
        ),
        "plain": Hyperparameter("plain", 7),
    }


def test_the_order_is_that_in_which_the_classes_give_a_domain() -> None:
    assert list(hyperparameters_of(Child)) == ["rate", "kind", "depth", "plain"]
    assert list(hyperparameters_of(Grandchild)) == ["rate", "kind", "depth", "extra", "plain"]


def test_the_defaults_of_the_config_are_the_hand_tuned_values() -> None:
    assert Grandchild() == Grandchild(rate=0.5, depth=2, kind="a", plain=7, extra=False)
    for one in hyperparameters_of(Grandchild).values():
        assert getattr(Grandchild(), one.name) == one.hand_tuned


def test_a_class_that_leaves_a_value_to_its_subclasses_cannot_be_made_without() -> None:
    with pytest.raises(TypeError, match="depth"):
        Base()


@pytest.mark.parametrize(
    ("rule", "valid", "invalid"),
    [
        (POSITIVE, [1e-9, 1e9], [0.0, -1.0, math.inf]),
        (NOT_NEGATIVE, [0.0, 1e9], [-1e-9, math.inf]),
        (AT_LEAST_0, [0, math.inf], [-1]),
        (AT_LEAST_1, [1, 99], [0]),
        (BELOW_1, [0.0, 0.999], [1.0, -0.001]),
        (SHARE, [0.0, 1.0], [1.001, -0.001]),
    ],
    ids=lambda value: value.words if isinstance(value, Rule) else None,
)
def test_a_rule_holds_up_to_its_ends_and_for_no_nan(
    rule: Rule, valid: list[float], invalid: list[float]
) -> None:
    assert all(map(rule.holds, valid))
    assert not any(map(rule.holds, [*invalid, math.nan]))
