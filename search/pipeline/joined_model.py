"""Train an ensemble of several models: the members of each on all data, then joined in one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analysis.run_folder.best_model_record import ShippedModel
from search.cluster.connection import connected
from search.cluster.resources import share_out
from search.cluster.tasks import TaskRunner, in_order
from search.console.live import follow
from search.pipeline.run_record import kept_precision
from search.pipeline.workflow import prepare
from search.selection.budget import seconds_to_train
from search.selection.final_model import CARD, assembled, trainings
from search.selection.joined_card import joined_card
from search.selection.test_set import score_test_set
from search.study.resume import records_of
from trainables.evaluation.decision import DecisionRule
from trainables.inference.joined_folder import join_models
from trainables.tasks.final_member import FinalMember

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.best_record import Ensemble, EnsembleMember
    from analysis.run_folder.folder import RunFolder
    from analysis.run_folder.run import Run
    from search.config.plan import Plan
    from search.study.trial import TrialRecord
    from trainables.data.sample import Corpus


class Written(NamedTuple):
    """A joined model, and its predictions of the unlabelled samples.

    Attributes:
        corpus: The data.
        probabilities: Calibrated, shape (U, C), float32.
        classes: Decided, shape (U,), int64.
        parameters: Of its largest member.
    """

    corpus: Corpus
    probabilities: NDArray[np.float32]
    classes: NDArray[np.int64]
    parameters: int


class ModelMembers(NamedTuple):
    """The members of an ensemble that are trials of one model.

    Attributes:
        plan: The model's search, resumed.
        trials: Their trials.
        recorded: The same in the ensemble's record, in the same order.
    """

    plan: Plan
    trials: Sequence[TrialRecord]
    recorded: Sequence[EnsembleMember]


def members_by_model(ensemble: Ensemble, plans: Mapping[str, Plan]) -> dict[str, ModelMembers]:
    """Group the members of an ensemble by model, with their trials out of each study."""
    found = {}
    for model in dict.fromkeys(str(member.model) for member in ensemble.members):
        plan = plans[model]
        study = plan.open_study(plan.open_storage())
        known = {record.number: record for record in records_of(study).values()}
        recorded = [member for member in ensemble.members if member.model == model]
        trials = [known[member.trial] for member in recorded if member.trial is not None]
        found[model] = ModelMembers(plan, trials, recorded)
    return found


def seconds_to_join(members: Mapping[str, ModelMembers], slots: int) -> float:
    """Estimate the seconds of training all members of an ensemble."""
    return sum(seconds_to_train(one.plan, one.trials, slots) for one in members.values())


def write_joined(
    folder: RunFolder, ensemble: Ensemble, members: Mapping[str, ModelMembers], console: Console
) -> Written:
    """Train the members of an ensemble across models on all labelled data, and write one model.

    Args:
        folder: The folder of all searches.
        ensemble: The ensemble.
        members: Its members, by model.
        console: Where to show progress.

    Returns:
        What was written.

    Raises:
        WorkError: If a member cannot be trained; `ModelError` if backbones of one name differ.
    """
    parts = folder.path / "model.parts"
    shutil.rmtree(parts, ignore_errors=True)
    first = next(iter(members.values())).plan
    made = []
    try:
        with connected(first.address) as nodes:
            for model, one in members.items():
                resources = share_out(nodes, one.plan.settings.resources)
                begun = one.plan.folder.read_search()
                experiment = kept_precision(prepare(one.plan), begun)
                runner = TaskRunner(experiment, resources)
                made.append(_part(runner, one, experiment.corpus, parts / model, console))
        threshold, classes = ensemble.neutral_threshold or 0.0, made[0].corpus.classes
        rule = DecisionRule(threshold, ensemble.temperature or 1.0, classes=classes)
        join_models([parts / model for model in members], rule, folder.model)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    mean = np.zeros_like(made[0].probabilities, dtype=np.float64)
    for one, part in zip(members.values(), made, strict=True):
        mean += sum(member.weight for member in one.recorded) * part.probabilities
    return Written(
        made[0].corpus,
        rule.calibrate(mean).astype(np.float32),
        rule.decide(mean),
        max(part.parameters for part in made),
    )


def _part(
    runner: TaskRunner, one: ModelMembers, corpus: Corpus, folder: Path, console: Console
) -> Written:
    """Train the members of one model, and write them as a model that decides by no rule."""
    plan, rows = one.plan, [np.arange(len(corpus.labelled))]
    tasks, shares = [], []
    for record, member in zip(one.trials, one.recorded, strict=True):
        mine = trainings(plan, dict(record.params), rows, member.epochs)
        tasks += mine
        shares += [(dict(record.params), member.weight / len(mine))] * len(mine)
    words = f"training what ships: {len(tasks)} of {plan.settings.model}"
    weights = in_order(follow(console, words, runner.run(tasks), len(tasks)))
    members = [
        FinalMember(params, [mine], share)
        for (params, share), mine in zip(shares, weights, strict=True)
    ]
    written = assembled(runner, folder, members, DecisionRule(0.0, classes=corpus.classes))
    probabilities, classes = written["probabilities"], written["classes"]
    return Written(corpus, probabilities, classes, written["model_parameters"])


def publish_joined(
    folder: RunFolder, best: BestModel, runs: Mapping[str, Run], written: Written
) -> ShippedModel:
    """Write the predictions of a joined model, and its card.

    Args:
        folder: The folder of all searches.
        best: The choice among the models, with its `ensemble`.
        runs: The searches, by model.
        written: The model.

    Returns:
        What ships.
    """
    assert best.ensemble is not None
    corpus, probabilities, classes, parameters = written
    guids = [sample.guid for sample in corpus.unlabelled]
    folder.write_predictions(guids, [corpus.classes.names[c] for c in classes])
    folder.write_probabilities(guids, probabilities, corpus.classes)
    first = runs[best.model].search
    tested = score_test_set(corpus, probabilities, classes, first.settings.seed or 0)
    if tested is not None:
        folder.write_test_scores(tested)
    why = "asked for; " * (not best.ensemble.preferred) + best.ensemble.verdict
    shipped = ShippedModel(kind="ensemble", why=why, several=True, parameters=parameters)
    card = joined_card(runs, replace(best, shipped=shipped), tested)
    (folder.model / CARD).write_text(card, encoding="utf-8")
    return shipped
