"""The ensemble as final model: each member trained on all labelled data, in one model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.run_folder.best_record import Final
from search.cluster.tasks import Task, fit_regression, in_order
from search.console.live import follow
from search.selection.final_model import assembled, publish, trainings
from trainables.evaluation.decision import DecisionRule
from trainables.tasks.final_member import FinalMember

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rich.console import Console

    from analysis.run_folder.best_record import Best, Ensemble
    from search.cluster.tasks import TaskRunner
    from search.config.plan import Plan
    from search.selection.ensemble import Proposal
    from trainables.data.sample import Corpus


def ships_ensemble(plan: Plan, best: Best) -> bool:
    """Return whether an ensemble is the final model: asked for, or better by a standard error."""
    asked = plan.settings.selection.final
    if best.ensemble is None:
        return False
    return asked == "ensemble" or (asked is None and best.ensemble.preferred)


def ship_ensemble(
    runner: TaskRunner,
    plan: Plan,
    corpus: Corpus,
    chosen: tuple[Best, Proposal],
    console: Console,
) -> Best:
    """Train the members, write the model, and predict the unlabelled samples.

    Args:
        runner: Does the work.
        plan: The search.
        corpus: The data.
        chosen: The chosen config with its `ensemble`, and the members of that.
        console: Where to show progress.

    Returns:
        The same with `final`.

    Raises:
        WorkError: If a member cannot be trained.
    """
    best, proposal = chosen
    ensemble = best.ensemble
    assert ensemble is not None
    rows = np.arange(len(corpus.labelled))
    parts = list(_parts(plan, proposal, ensemble, rows))
    words = f"training what ships: an ensemble of {len(proposal.members)}"
    tasks = [task for _, task in parts]
    weights = in_order(follow(console, words, runner.run(tasks), len(tasks)))
    members = [
        member._replace(weights=[mine]) for (member, _), mine in zip(parts, weights, strict=True)
    ]
    rule = DecisionRule(
        0.0,
        ensemble.temperature or 1.0,
        neutral_weight=ensemble.neutral_weight,
        classes=plan.classes,
    )
    written = assembled(runner, plan.folder.model, members, rule)
    asked = plan.settings.selection.final == "ensemble"
    final = Final(
        kind="ensemble",
        why="asked for; " * asked + ensemble.verdict,
        scores={"ensemble": ensemble.score},
        epochs=max(member.epochs for member in ensemble.members),
        seeds=plan.settings.selection.final_seeds,
        members=len(proposal.members),
        temperature=rule.temperature,
        parameters=written["model_parameters"],
    )
    return publish(plan, corpus, replace(best, final=final), written)


def _parts(
    plan: Plan, proposal: Proposal, ensemble: Ensemble, rows: NDArray[np.int64]
) -> Iterator[tuple[FinalMember, Task]]:
    """Return each member of the model, without its weights, and the training that makes them."""
    for member, record in zip(proposal.members, ensemble.members, strict=True):
        if member.trial is None:
            params = dict(member.reads)
            task = Task(fit_regression, {"params": params, "rows": rows})
            yield FinalMember(params, [], member.weight, "regression"), task
            continue
        params = dict(member.trial.params)
        tasks = trainings(plan, params, [rows], record.epochs)
        for task in tasks:
            yield FinalMember(params, [], member.weight / len(tasks)), task
