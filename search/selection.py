"""The stages after the trials: confirm, floor, judge, ship. Each leaves what says it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from search.candidates import fresh_folds, pick
from search.confirm import confirm
from search.crew import Crew
from search.errors import WorkError
from search.floor import lay_floor
from search.judgement import judge
from search.reserve import affordable
from search.shipping import UntrainableError, ship
from search.stages import once

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rich.console import Console

    from search.cluster import TrialResources
    from search.plan import Plan
    from search.trials import Records
    from trainables.experiment import Experiment

_UNTRAINABLE = "untrainable"
_MOST_TRIES = 5  # more than that many that fail have a common cause


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
        shipped, untrainable = ship_the_best_that_trains(
            plan,
            lambda failed: judge(plan, records, corpus.labels, picked, failed),
            lambda best: ship(crew, plan, corpus, folds, best, console),
            console,
        )
    plan.folder.write_best(shipped)
    return shipped, notes + untrainable


def ship_the_best_that_trains(
    plan: Plan,
    choose: Callable[[Collection[int]], dict[str, Any] | None],
    train: Callable[[Mapping[str, Any]], dict[str, Any]],
    console: Console,
) -> tuple[dict[str, Any], list[str]]:
    """Ship the chosen config; where no model of it can be trained, the next one.

    Which could not be trained is kept with the run, once another one ships: a search that goes on
    does not try them again.

    Args:
        plan: The search.
        choose: Chooses a config, given the trials to pass over; None where no other is left.
        train: Trains what ships: see `ship`.
        console: Where to say what could not be trained, as soon as it is known.

    Returns:
        The content of `best.json`, and a plain sentence for each config that was passed over.

    Raises:
        WorkError: If none of the best few can be trained.
    """
    folder, asked = plan.folder, plan.settings.selection
    known = folder.read_stages().get(_UNTRAINABLE, {}).get("result", {})
    failed = {int(trial): str(reason) for trial, reason in known.items()}
    fresh: dict[int, str] = {}
    while (best := choose(failed.keys() | fresh.keys())) is not None:
        leaves = folder.model, folder.predictions
        try:
            ground = {**best, "asked": [asked.final, asked.final_seeds]}
            shipped = once(folder, "ship", ground, lambda best=best: train(best), leaves)  # type: ignore[misc]
        except UntrainableError as error:
            fresh[int(best["trial"])] = str(error)
            console.print(f"{error}; the next best is tried", highlight=False)
            if len(fresh) < _MOST_TRIES:
                continue
            break
        failed |= fresh
        if failed:
            entry = {"depends_on": {}, "result": failed}
            folder.write_stages({**folder.read_stages(), _UNTRAINABLE: entry})
        return shipped, list(failed.values())
    raise WorkError("; ".join(fresh.values()))
