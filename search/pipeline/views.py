"""Switch off views that cannot read the data of a search, with a note."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optuna.distributions import CategoricalDistribution

from search.study.space import distributions
from trainables.data.views import VIEWS

if TYPE_CHECKING:
    from search.config.plan import Plan
    from trainables.data.sample import Corpus


def unfit_notes(plan: Plan, corpus: Corpus) -> list[str]:
    """List in sentences the views, of those that trials may read, that cannot read the data."""
    return [
        f"{name} is held on, though {reason}"
        if name in plan.overrides.fixed
        else f"{name} is off: {reason}"
        for name, reason in _unfit(plan, corpus).items()
    ]


def without_unfit_views(plan: Plan, corpus: Corpus) -> Plan:
    """Leave the views that cannot read the data out of the space, but for fixed ones."""
    names = _unfit(plan, corpus).keys() - plan.overrides.fixed.keys()
    if not names:
        return plan
    space = plan.space.leave_out({name: {True} for name in names})
    warm = tuple(one._replace(params=space.inside(one.params)) for one in plan.warm_start)
    return replace(plan, space=space, hand_tuned=space.inside(plan.hand_tuned), warm_start=warm)


def _unfit(plan: Plan, corpus: Corpus) -> dict[str, str]:
    """Return why each view cannot read the data, by name, of those that trials may read."""
    drawn = {
        name: distribution.choices
        for name, distribution in distributions(plan.space).items()
        if isinstance(distribution, CategoricalDistribution)
    }
    reasons = {
        name: view.unfit(corpus.samples)
        for name, view in VIEWS.items()
        if True in drawn.get(name, ())
    }
    return {name: reason for name, reason in reasons.items() if reason}
