"""Rung zero: before the first trial, a logistic regression on everything that trials can read.

It takes seconds where trials take minutes, so it says where trials begin, and what is hopeless.
A choice is hopeless by paired standard errors on the search's own folds, never by a difference
alone. The log-loss gives the order: it uses all of a probability, a decision only its side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from trainables.evaluation.resampling import PairedDifference, Validated, paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from search.study.combinations import Combination
    from trainables.evaluation.classes import Classes
    from trainables.hyperparameter import Value

HOPELESS_ERRORS = 3.0
"""Paired standard errors behind the best, in log-loss and in the objective, from which on there is
no hope: one in 700 by chance alone, for each choice."""

_LEAST_VALIDATED = 100
"""Of fewer samples a standard error is itself too unsure to leave anything out."""


class Truth(NamedTuple):
    """What is known of the labelled samples.

    Attributes:
        labels: Their classes, shape (N,).
        groups: Their groups of duplicates, shape (N,).
        per_repeat: How many folds make one repeat.
        classes: The classes.
    """

    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    per_repeat: int
    classes: Classes


@dataclass(frozen=True)
class Standing:
    """How well the regression does on one combination.

    Attributes:
        params: The hyperparameters that say what is read.
        loss: Its log-loss out of fold, in nats, the mean over folds.
        score: Its objective, likewise.
        loss_behind: Its log-loss against the best's, with the paired standard error.
        score_behind: Its objective against the best's, likewise. Less than 0 is worse, of both.
        validated: The number of samples scored.
    """

    params: Mapping[str, Value]
    loss: float
    score: float
    loss_behind: PairedDifference
    score_behind: PairedDifference
    validated: int

    @property
    def is_hopeless(self) -> bool:
        """Whether it is behind by far more than its standard errors, in loss and in score."""
        behind = (_errors(self.loss_behind), _errors(self.score_behind))
        return self.validated >= _LEAST_VALIDATED and min(behind) > HOPELESS_ERRORS


def standings(
    probabilities: pd.DataFrame,
    found: Sequence[Combination],
    metric: str,
    sign: int,
    truth: Truth,
) -> list[Standing]:
    """Compare the combinations.

    Args:
        probabilities: As `regressions` gives them; by index of the combination.
        found: The combinations, in the order of their indices.
        metric: The objective, one of `decision_scores`, or `loss`.
        sign: 1 where more of it is better, else -1.
        truth: What is known of the samples.

    Returns:
        Where each stands, the lowest log-loss first.
    """
    validated = [
        _validated(frame, truth) for _, frame in probabilities.groupby("combination", sort=True)
    ]
    losses = [one.score("loss") for one in validated]
    order = sorted(range(len(found)), key=lambda k: losses[k])
    best = validated[order[0]]
    return [
        Standing(
            found[k].params,
            losses[k],
            validated[k].score(metric),
            _signed(paired_bootstrap("loss", validated[k], best), -1),
            _signed(paired_bootstrap(metric, validated[k], best), sign),
            len(np.unique(best.rows)),
        )
        for k in order
    ]


def _validated(frame: pd.DataFrame, truth: Truth) -> Validated:
    rows, folds = frame["row"].to_numpy(np.int64), frame["fold"].to_numpy(np.int64)
    probabilities = frame[list(truth.classes.names)].to_numpy()
    return Validated(
        rows,
        folds,
        truth.labels[rows],
        probabilities,
        probabilities.argmax(axis=1),
        truth.groups[rows],
        folds // truth.per_repeat,
        truth.classes,
    )


def _signed(found: PairedDifference, sign: int) -> PairedDifference:
    """Negate a difference if larger is worse."""
    low, high = sorted(sign * bound for bound in found.interval)
    return PairedDifference(
        sign * found.difference, found.standard_error, (low, high), found.p_value
    )


def hopeless_choices(
    order: Sequence[Standing], found: Sequence[Combination]
) -> dict[str, frozenset[Value]]:
    """Return values, by hyperparameter, that only hopeless combinations have.

    Some value of each is left, as the best combination is not hopeless.

    Returns:
        The values.
    """
    hopeless = {_key(one.params) for one in order if one.is_hopeless}
    seen: dict[str, set[Value]] = {}
    hopeful: dict[str, set[Value]] = {}
    for combination in found:
        for params in combination.alike:
            for name, value in params.items():
                seen.setdefault(name, set()).add(value)
                if _key(combination.params) not in hopeless:
                    hopeful.setdefault(name, set()).add(value)
    left_out = {name: frozenset(values - hopeful[name]) for name, values in seen.items()}
    return {name: values for name, values in left_out.items() if values}


def sentences(
    order: Sequence[Standing],
    found: Sequence[Combination],
    left_out: Mapping[str, frozenset[Value]],
    metric: str,
) -> list[str]:
    """Say what is left out of the space, and why, in a sentence per value.

    Args:
        order: Where each combination stands, best first.
        found: The combinations.
        left_out: From `hopeless_choices`.
        metric: The objective.

    Returns:
        The sentences.
    """
    alike = {_key(one.params): one.alike for one in found}
    sentences = []
    for name, values in left_out.items():
        for value in sorted(values, key=str):
            nearest = next(
                one
                for one in order
                if any(params[name] == value for params in alike[_key(one.params)])
            )
            sentences.append(
                f"rung zero leaves {name}={spelt(value)} out of the space: at best a logistic"
                f" regression on it is {_behind(nearest, metric)}; --no-rung-zero keeps it"
            )
    return sentences


def _behind(one: Standing, metric: str) -> str:
    found = {"log-loss": one.loss_behind}
    if metric != "loss":
        found[metric] = one.score_behind
    return " and ".join(
        f"{-each.difference:.4f} behind in {name} ({_errors(each):.1f} standard errors)"
        for name, each in found.items()
    )


def _errors(found: PairedDifference) -> float:
    """Return how many standard errors it is behind; 0 where all draws are equal."""
    return -found.difference / found.standard_error if found.standard_error else 0.0


def spelt(value: Any) -> str:
    """Spell a value as `--fix` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def starts(
    order: Sequence[Standing],
    hand_tuned: Mapping[str, Any],
    frozen: Mapping[str, Value],
    most: int,
) -> list[dict[str, Any]]:
    """Return up to `most` configs to begin with, after the hand-tuned one.

    Args:
        order: Where each combination stands, best first.
        hand_tuned: The hand-tuned config.
        frozen: Freezes its towers, from `frozen_params`.
        most: Maximum number.

    Returns:
        The hand-tuned config, its towers frozen as the regressions had them, reading the best
        combinations; none that is hopeless.
    """
    begun = dict(hand_tuned) | dict(frozen)
    others = [begun | dict(one.params) for one in order if not one.is_hopeless]
    return [params for params in others if params != dict(hand_tuned)][:most]


def standings_table(order: Sequence[Standing]) -> pd.DataFrame:
    """Make the table of the run folder, columns as `analysis.run_folder.schema.RUNG_ZERO` says."""
    return pd.DataFrame(
        [
            {f"config/{name}": value for name, value in one.params.items()}
            | {
                "loss": one.loss,
                "objective": one.score,
                "loss_behind": 0.0 - one.loss_behind.difference,
                "loss_error": one.loss_behind.standard_error,
                "objective_behind": 0.0 - one.score_behind.difference,
                "objective_error": one.score_behind.standard_error,
                "hopeless": one.is_hopeless,
            }
            for one in order
        ]
    )


def _key(params: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(params.items()))
