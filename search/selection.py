"""The stages after the trials: confirm, floor, judge, ship. Each leaves what says it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from search.candidates import fresh_folds, pick
from search.confirm import confirm
from search.crew import Crew
from search.floor import lay_floor
from search.judgement import judge
from search.reserve import affordable
from search.shipping import ship
from search.stages import once

if TYPE_CHECKING:
    from rich.console import Console

    from search.cluster import TrialResources
    from search.plan import Plan
    from search.trials import Records
    from trainables.experiment import Experiment


def select(
    plan: Plan,
    experiment: Experiment,
    records: Records,
    resources: TrialResources,
    limits: tuple[float, Console],
) -> tuple[dict[str, Any], list[str]]:
    """Choose among the best configs on fresh data, train the model that ships, and predict.

    Args:
        plan: The search.
        experiment: What it held fixed.
        records: Its trials, all ended; at least one has a score.
        resources: What one worker gets, and how many there are.
        limits: When all is to be done, on the clock of `time.monotonic` (infinity for no limit),
            and where to show how it goes.

    Returns:
        The content of `best.json`, and plain sentences on what could not be done.
    """
    corpus, folds = experiment.corpus, fresh_folds(plan, experiment.corpus)
    deadline, console = limits
    wanted = pick(plan, records)
    picked = affordable(plan, wanted, resources.slots, deadline - time.monotonic())
    notes = []
    if len(picked) < len(wanted):
        notes.append(
            f"the time budget is enough to confirm {len(picked)} of {len(wanted)} configs"
        )
    with Crew(experiment, resources) as crew:
        notes += confirm(crew, plan, corpus, folds, picked, console)
        notes += lay_floor(crew, plan, folds, console)
        best = judge(plan, records, corpus.labels, picked)
        shipped = once(
            plan.folder,
            "ship",
            best,
            lambda: ship(crew, plan, corpus, folds, best, console),
            leaves=(plan.folder.model, plan.folder.predictions),
        )
    plan.folder.write_best(shipped)
    return shipped, notes
