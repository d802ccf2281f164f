"""What depends on the classes of the data: the objective, and the threshold in the space."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.metrics import class_scores, score_of, scores_of
from trainables.hyperparameter import FloatRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.config.plan import Plan

_THRESHOLD = "neutral_threshold"


def class_faults(plan: Plan, classes: Classes) -> Iterator[str]:
    """Yield one sentence per setting that the classes of the data rule out."""
    metric = plan.settings.tuning.metric
    if metric.removeprefix("val_") not in scores_of(classes):
        of_class = score_of(metric).of_class
        found = " or ".join(f"val_{name}" for name in class_scores(classes))
        why = f"no labelled pair is {of_class}" if of_class else "one of them is the fallback"
        yield (
            f"--metric must be of a class that the data have, such as {found}, got {metric}: {why}"
        )
    if classes.fallback is not None:
        return
    names = ", ".join(classes.names)
    remedy = f"no class of the data is neutral, and --fallback-class names none of {names}"
    if plan.settings.selection.decision == "tuned":
        yield f"--decision tuned needs a fallback class: {remedy}"
    for flag, words in (
        ("--fix", plan.settings.tuning.fix),
        ("--range", plan.settings.tuning.range),
    ):
        if _THRESHOLD in {word.partition("=")[0].strip() for word in words}:
            yield f"{flag} {_THRESHOLD} needs a fallback class: {remedy}"


def with_classes(plan: Plan, classes: Classes) -> Plan:
    """Return the plan for some classes, its threshold fit for how many there are.

    The range of the threshold was made for three classes, where one of a third changes nothing; it
    is a multiple of an even share. Without a fallback class there is none.

    Returns:
        The plan.
    """
    plan = replace(plan, classes=classes)
    space, hand_tuned = plan.space, dict(plan.hand_tuned)
    if classes.fallback is None:
        hand_tuned.pop(_THRESHOLD, None)
        space = space.without([_THRESHOLD])
    elif len(classes) != len(SENTIMENTS) and _THRESHOLD not in _asked(plan):
        factor = len(SENTIMENTS) / len(classes)
        domain = space.domains.get(_THRESHOLD)
        if isinstance(domain, FloatRange):
            ends = domain.low * factor, domain.high * factor
            space = space.replace({_THRESHOLD: FloatRange(*ends, domain.log)})
        if _THRESHOLD in hand_tuned:
            hand_tuned[_THRESHOLD] *= factor
    if space is plan.space:
        return plan
    warm = tuple(one._replace(params=space.inside(one.params)) for one in plan.warm_start)
    return replace(plan, space=space, hand_tuned=space.inside(hand_tuned), warm_start=warm)


def _asked(plan: Plan) -> set[str]:
    return {*plan.overrides.fixed} | plan.overrides.narrowed
