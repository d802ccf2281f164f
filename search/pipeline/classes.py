"""What depends on the classes of the data: the objective, and the threshold in the space."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from search.study.threshold import THRESHOLD, of_classes, range_faults, relative_share
from trainables.evaluation.metrics import class_scores, score_of, scores_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.config.plan import Plan
    from trainables.evaluation.classes import Classes


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
        yield from range_faults(plan.space, plan.overrides, classes)
        return
    names = ", ".join(classes.names)
    remedy = f"no class of the data is neutral, and --fallback-class names none of {names}"
    if plan.settings.selection.decision == "tuned":
        yield f"--decision tuned needs a fallback class: {remedy}"
    for flag, words in (
        ("--fix", plan.settings.tuning.fix),
        ("--range", plan.settings.tuning.range),
    ):
        if THRESHOLD in {word.partition("=")[0].strip() for word in words}:
            yield f"{flag} {THRESHOLD} needs a fallback class: {remedy}"


def with_classes(plan: Plan, classes: Classes) -> Plan:
    """Return the plan for some classes, the range of its threshold fit for how many there are."""
    space, hand_tuned = of_classes(plan.space, plan.overrides, classes), dict(plan.hand_tuned)
    if THRESHOLD in hand_tuned and THRESHOLD not in plan.overrides.fixed:
        hand_tuned[THRESHOLD] *= relative_share(classes)
    warm = tuple(one._replace(params=space.inside(one.params)) for one in plan.warm_start)
    return replace(
        plan, classes=classes, space=space, hand_tuned=space.inside(hand_tuned), warm_start=warm
    )
