"""The steps after the trials: confirm, compare, choose, train the final model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from analysis.run_folder.best_record import Best
from analysis.run_folder.records import read_record, to_json
from analysis.run_folder.stage_record import Stage
from search.cluster.tasks import TaskRunner
from search.errors import WorkError
from search.pipeline.rung_zero import best_read
from search.pipeline.stages import once
from search.selection.baseline import measure_baseline
from search.selection.budget import affordable, seconds_needed
from search.selection.candidates import fresh_folds, pick
from search.selection.choice import choose_config
from search.selection.confirmation import confirm
from search.selection.ensemble import NoEnsembleError, confirm_regressions, propose
from search.selection.ensemble_model import ship_ensemble, ships_ensemble
from search.selection.final_model import UntrainableError, ship

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from rich.console import Console

    from search.cluster.resources import TrialResources
    from search.config.plan import Plan
    from search.selection.ensemble import Proposal
    from search.study.trial import Records, TrialRecord
    from trainables.data.sample import Fold
    from trainables.experiment import Experiment

_UNTRAINABLE = "untrainable"
_MOST_TRIES = 5  # more than that many that fail have a common cause


def select(
    plan: Plan,
    experiment: Experiment,
    records: Records,
    resources: TrialResources,
    limits: tuple[float, Console],
) -> tuple[Best, list[str]]:
    """Choose among the best configs on fresh folds, train the final model, and predict.

    Args:
        plan: The search.
        experiment: What it held fixed.
        records: Its trials, all ended; at least one has a score.
        resources: What one task gets, and how many run at a time.
        limits: When all must be done, on the clock of `time.monotonic` (infinity for no limit),
            and where to show progress.

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
    runner = TaskRunner(experiment, resources)
    proposal, reasons = _affordable_proposal(
        plan, experiment, records, (picked, resources.slots, deadline)
    )
    others = proposal.beside(picked) if proposal else []
    notes += reasons + confirm(runner, plan, corpus, folds, [*picked, *others], console)
    notes += measure_baseline(runner, plan, folds, best_read(plan), console)
    if proposal is not None:
        notes += _confirm_regressions(runner, plan, proposal, folds, console)

    def train(best: Best) -> Best:
        if proposal is not None and ships_ensemble(plan, best):
            try:
                return ship_ensemble(runner, plan, corpus, (best, proposal), console)
            except WorkError as error:
                words = f"the ensemble could not be trained ({error}); the best config is, alone"
                console.print(words, highlight=False)
        return ship(runner, plan, corpus, folds, best, console)

    shipped, untrainable = ship_the_best_that_trains(
        plan,
        lambda failed: choose_config(plan, records, corpus.labels, picked, failed, proposal),
        train,
        console,
        [plan.folder.test_scores] * bool(corpus.held_out),
    )
    plan.folder.write_best(shipped)
    return shipped, notes + untrainable


def _affordable_proposal(
    plan: Plan,
    experiment: Experiment,
    records: Records,
    limits: tuple[Sequence[TrialRecord], int, float],
) -> tuple[Proposal | None, list[str]]:
    """Return an ensemble that fits the time left beside the picked configs, or why none does."""
    picked, slots, deadline = limits
    try:
        proposal = propose(plan, records, experiment.corpus.labels, experiment.folds)
    except NoEnsembleError as reason:
        return None, [str(reason)] * bool(str(reason))
    needed = seconds_needed(plan, [*picked, *proposal.beside(picked)], slots)
    if needed > deadline - time.monotonic():
        return None, ["the time budget is not enough for an ensemble"]
    return proposal, []


_REGRESSIONS = "regressions of the ensemble"


def _confirm_regressions(
    runner: TaskRunner, plan: Plan, proposal: Proposal, folds: Sequence[Fold], console: Console
) -> list[str]:
    """Fit them on the fresh folds; return why that failed, if it did."""
    if not proposal.reads:
        return []

    def work() -> dict[str, object]:
        confirm_regressions(runner, plan, proposal, folds, console)
        return {}

    depends_on = {"reads": [dict(read) for read in proposal.reads]}
    try:
        once(plan.folder, _REGRESSIONS, depends_on, work, [plan.folder.member_regressions])
    except WorkError as error:
        return [f"no ensemble could be confirmed: {error}"]
    return []


def ship_the_best_that_trains(
    plan: Plan,
    choose: Callable[[Collection[int]], Best | None],
    train: Callable[[Best], Best],
    console: Console,
    further: Sequence[Path] = (),
) -> tuple[Best, list[str]]:
    """Train the final model of the chosen config; if that fails, of the next one.

    Which could not be trained is kept with the run, once another one could: a resumed search does
    not try them again.

    Args:
        plan: The search.
        choose: Chooses a config, given the trials to pass over; None where no other is left.
        train: Trains the final model: see `ship`.
        console: Where to say what could not be trained, as soon as it is known.
        further: Files that `train` writes besides the model and its predictions.

    Returns:
        The content of `best.json`, and a plain sentence for each config that was passed over.

    Raises:
        WorkError: If none of the best few can be trained.
    """
    folder, asked = plan.folder, plan.settings.selection
    known = folder.read_stages().get(_UNTRAINABLE)
    failed = {int(trial): str(reason) for trial, reason in known.result.items()} if known else {}
    fresh: dict[int, str] = {}
    while (best := choose(failed.keys() | fresh.keys())) is not None:
        leaves = [folder.model, folder.predictions, folder.probabilities, *further]
        try:
            ground = {**to_json(best), "asked": [asked.final, asked.final_seeds]}
            result = once(folder, "ship", ground, lambda best=best: to_json(train(best)), leaves)  # type: ignore[misc]
        except UntrainableError as error:
            fresh[best.trial] = str(error)
            console.print(f"{error}; the next best is tried", highlight=False)
            if len(fresh) < _MOST_TRIES:
                continue
            break
        shipped = read_record(folder.stages, result, Best)
        failed |= fresh
        if failed:
            entry = Stage(depends_on={}, result={str(k): why for k, why in failed.items()})
            folder.write_stages({**folder.read_stages(), _UNTRAINABLE: entry})
        return shipped, list(failed.values())
    raise WorkError("; ".join(fresh.values()))
