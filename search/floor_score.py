"""The floor's scores, and whether the chosen config beats it: said plainly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.resampling import Validated, compare, interval, resampled_scores
from analysis.results import CLASSES
from analysis.scores import decide
from trainables.objective import SCORES, mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from search.plan import Plan
    from search.trials import TrialRecord


def all_scores(validated: Validated) -> dict[str, float]:
    """Score what was said out of fold in every way.

    Args:
        validated: It.

    Returns:
        By the names that a trial reports, the means over folds.
    """
    return {f"val_{name}": validated.score(name) for name in SCORES}


def score_floor(
    plan: Plan, labels: NDArray[np.int64], order: Sequence[tuple[TrialRecord, Validated]]
) -> tuple[dict[str, Any] | None, str | None]:
    """Score the floor, and say whether the chosen config beats it and the hand-tuned one.

    Args:
        plan: The search.
        labels: Classes of the labelled samples, shape (N,).
        order: The confirmed configs, the chosen one first.

    Returns:
        `majority`, `logistic_regression` and `hand_tuned` with their scores, the `interval` of
        the regression, and the `margin` of the chosen config above it, in `standard_errors` too;
        and the verdict. Either is None where it could not be had.
    """
    if not plan.folder.floor.exists():
        return None, None
    frame = plan.folder.read_floor()
    rows, parts = frame["row"].to_numpy(np.int64), frame["fold"].to_numpy(np.int64)
    said, truth = frame[list(CLASSES)].to_numpy(), labels[rows]
    counts = np.bincount(labels, minlength=len(CLASSES))
    shares = np.tile(counts / counts.sum(), (len(rows), 1))
    others = {
        "majority": Validated(rows, parts, truth, shares, decide(shares, 0.0)),
        "logistic_regression": Validated(rows, parts, truth, said, decide(said, 0.0)),
    }
    metric = plan.settings.tuning.metric
    name = metric.removeprefix("val_")
    (draws,) = resampled_scores(name, [others["logistic_regression"]], seed=plan.settings.seed)
    floor: dict[str, Any] = {key: all_scores(one) for key, one in others.items()}
    floor |= {"interval": list(interval(draws)), "margin": None, "standard_errors": None}
    if not order:
        return floor, None
    best_record, best = order[0]
    for record, one in order:
        if record.hand_tuned:
            floor["hand_tuned"] = all_scores(one)
            if record is not best_record:
                others["hand_tuned"] = one
    sign = 1 if mode_of(metric) == "max" else -1
    margins = {key: _margin(name, sign, best, one) for key, one in others.items()}
    floor["margin"], floor["standard_errors"] = margins["logistic_regression"]
    return floor, verdict(metric, best.score(name), margins)


def _margin(name: str, sign: int, one: Validated, other: Validated) -> tuple[float, float | None]:
    found = compare(name, one, other)
    error = found.standard_error
    return sign * found.difference, sign * found.difference / error if error > 0 else None


_SPELT = {
    "majority": "the majority class",
    "logistic_regression": "the logistic regression",
    "hand_tuned": "the hand-tuned config",
}


def verdict(metric: str, score: float, margins: Mapping[str, tuple[float, float | None]]) -> str:
    """Say plainly whether the search was worth it.

    Args:
        metric: The objective.
        score: Of the chosen config, confirmed.
        margins: By how much it is better than each other way, and in how many standard errors of
            the difference (None where both decide alike).

    Returns:
        One sentence.
    """
    parts = []
    for key, (margin, errors) in margins.items():
        sure = f"{abs(errors):.1f} standard errors" if errors is not None else "no difference"
        if errors is None or abs(errors) < 1:
            parts.append(f"is level with {_SPELT[key]} ({margin:+.4f}, {sure})")
        else:
            how = "beats" if margin > 0 else "loses to"
            parts.append(f"{how} {_SPELT[key]} by {abs(margin):.4f} ({sure})")
    tail = "" if "hand_tuned" in margins else "; it is the hand-tuned config"
    said = ", ".join(parts[:-1]) + f" and {parts[-1]}"
    return f"the confirmed {metric} of {score:.4f} {said}{tail}"
