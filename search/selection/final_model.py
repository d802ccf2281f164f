"""The final model: the chosen config refitted on all data, or its folds' models joined.

The stage is done when the model folder is there and `best.json` says what is in it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.program import counted
from analysis.run_folder.best_record import Final
from search.cluster.tasks import Task, assemble, in_order, train_member, validate_joining
from search.console.live import follow
from search.errors import WorkError
from search.selection.candidates import fresh_seed, per_repeat
from search.selection.model_card import model_card
from search.selection.test_set import score_test_set
from search.study.trial import neutral_threshold
from trainables.evaluation.calibration import fit_temperature
from trainables.evaluation.decision import DecisionRule, decide
from trainables.evaluation.metrics import is_better
from trainables.evaluation.resampling import Validated
from trainables.seeds import stream_seed
from trainables.tasks.final_member import FinalMember

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from analysis.run_folder.best_record import Best
    from search.cluster.tasks import TaskRunner
    from search.config.plan import Plan
    from trainables.data.sample import Corpus, Fold

CARD = "README.md"
"""The model card, in the model folder."""


class UntrainableError(WorkError):
    """No model of the chosen config can be trained: another config must be used."""


def ship(
    runner: TaskRunner,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Best,
    console: Console,
) -> Best:
    """Train the final model, write it, and predict the unlabelled samples.

    Where fold models cannot be trained, it is one model on all data instead.

    Args:
        runner: Does the work.
        plan: The search.
        corpus: The data.
        folds: The fresh ones that the config was confirmed on.
        best: The chosen config.
        console: Where to show progress.

    Returns:
        The same with `final`.

    Raises:
        UntrainableError: If no model of the config can be trained.
    """
    folds = folds[: per_repeat(plan)]
    choice = choose_kind(runner, plan, corpus, folds, best, console)
    epochs = _epochs(best)
    choice, rows, weights = _trained(
        runner, plan, (corpus, folds), (best, epochs), choice, console
    )
    together = len(rows) if choice.kind == "average" else 1
    groups = [weights[k : k + together] for k in range(0, len(weights), together)]
    members = [FinalMember(best.params, group) for group in groups]
    rule = _rule(plan, best, choice)
    written = assembled(runner, plan.folder.model, members, rule)
    final = Final(
        kind=choice.kind,
        why=choice.why,
        scores=choice.scores,
        epochs=epochs,
        seeds=plan.settings.selection.final_seeds,
        members=len(members),
        temperature=rule.temperature,
        parameters=written["model_parameters"],
    )
    return publish(plan, corpus, replace(best, final=final), written)


def _trained(
    runner: TaskRunner,
    plan: Plan,
    data: tuple[Corpus, Sequence[Fold]],
    config: tuple[Best, int],
    choice: Choice,
    console: Console,
) -> tuple[Choice, list[NDArray[np.int64]], list[bytes]]:
    """Train the final model, a refit if nothing else can be; return its record."""
    (corpus, folds), (best, epochs) = data, config
    is_refit = choice.kind == "refit"
    rows = [np.arange(len(corpus.labelled))] if is_refit else [fold.train for fold in folds]
    tasks = trainings(plan, best.params, rows, epochs)
    words = f"training what ships: {choice.kind} of {len(tasks)}, {counted(epochs, 'epoch')}"
    try:
        return choice, rows, in_order(follow(console, words, runner.run(tasks), len(tasks)))
    except WorkError as error:
        if is_refit:
            msg = f"no model of trial {best.trial} could be trained: {error}"
            raise UntrainableError(msg) from error
        reason = f"the models of the {choice.kind} could not be trained ({error})"
    console.print(f"{reason}; one model on all data is, instead", highlight=False)
    refit = Choice("refit", f"{reason}: one model is trained on all data", choice.scores)
    return _trained(runner, plan, data, config, refit, console)


def trainings(
    plan: Plan, params: Mapping[str, Any], rows: Sequence[NDArray[np.int64]], epochs: int
) -> list[Task]:
    """Return a member for each seed and each choice of rows, seed by seed."""
    shared = {"params": params, "epochs": epochs}
    return [
        Task(train_member, {**shared, "rows": some, "seed": stream_seed(fresh_seed(plan), k)})
        for k in range(plan.settings.selection.final_seeds)
        for some in rows
    ]


def assembled(
    runner: TaskRunner, folder: Path, members: Sequence[Any], rule: DecisionRule
) -> dict[str, Any]:
    """Write a model folder on this machine; return what `trainables.tasks.final` returns."""
    folder = folder.absolute()
    arguments = {"members": members, "rule": rule, "folder": folder, "home": runner.home}
    written: dict[str, Any] = runner.here(Task(assemble, arguments))
    if files := written.pop("files", None):
        _receive(folder, files)
    return written


def _receive(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a model that was assembled on another machine."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, content in files.items():
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def publish(plan: Plan, corpus: Corpus, best: Best, written: Mapping[str, Any]) -> Best:
    """Write the final model's predictions, its card, and `best.json`; return `best`."""
    folder = plan.folder
    guids = [sample.guid for sample in corpus.unlabelled]
    folder.write_predictions(guids, [corpus.classes.names[c] for c in written["classes"]])
    folder.write_probabilities(guids, written["probabilities"], corpus.classes)
    # Here, as all is chosen and trained, a labelled test set is looked at for the first time.
    tested = score_test_set(
        corpus, written["probabilities"], written["classes"], plan.settings.seed
    )
    if tested is not None:
        folder.write_test_scores(tested)
    card = model_card(folder.read_search(), best, tested)
    (folder.model / CARD).write_text(card, encoding="utf-8")
    folder.write_best(best)
    return best


def _epochs(best: Best) -> int:
    return (best.confirmed and best.confirmed.epochs) or best.best_epoch


def _threshold(plan: Plan, best: Best) -> float:
    if plan.classes.fallback is None:
        return 0.0
    if best.decision is None:
        return neutral_threshold(best.params)
    return best.decision.neutral_threshold or 0.0


def _rule(plan: Plan, best: Best, choice: Choice) -> DecisionRule:
    threshold, classes = _threshold(plan, best), plan.classes
    if best.decision is None:
        return DecisionRule(threshold, classes=classes)
    temperature = choice.temperature or best.decision.temperature or 1.0
    weight = best.decision.neutral_weight or 1.0
    return DecisionRule(threshold, temperature, neutral_weight=weight, classes=classes)


Kind = Literal["refit", "average", "folds"]

OUTER_FOLDS = 2  # each costs as much as the training of about two fold models
LEAST_FOLDS = 3  # fewer leave no two members to join once one fold is held out


@dataclass(frozen=True)
class Choice:
    """The kind of the final model, and why.

    Attributes:
        kind: `refit`, `average` or `folds`.
        why: In words.
        scores: The objective by kind, and the mean of the `members`; None where none was asked.
        temperature: Calibrates this kind of model; None without nested validation.
    """

    kind: Kind
    why: str
    scores: dict[str, float] | None = None
    temperature: float | None = None


def choose_kind(
    runner: TaskRunner,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Best,
    console: Console,
) -> Choice:
    """Choose the kind of the final model: the one asked for, or that nested validation prefers.

    Args:
        runner: Does the work.
        plan: The search.
        corpus: The data.
        folds: The first repeat of those that the config was confirmed on.
        best: The chosen config.
        console: Where to show progress.

    Returns:
        The choice.
    """
    final = plan.settings.selection.final
    asked = None if final == "ensemble" else final  # there is none, or it would ship
    if asked == "refit":
        return Choice("refit", "asked for")
    if plan.folds < LEAST_FOLDS or best.confirmed is None:
        if asked is not None:
            return Choice(asked, "asked for; there are too few folds to validate it")
        reason = "there are too few folds to join, or none was confirmed"
        return Choice("refit", f"{reason}: one model is trained on all data")
    try:
        predicted = _predictions_by_kind(runner, plan, folds, best, console)
    except WorkError as error:
        kind, reason = asked or "refit", f"joining fold models could not be validated: {error}"
        console.print(reason, highlight=False)
        return Choice(kind, f"asked for; {reason}" if asked else reason)
    rows = np.concatenate([fold.val for fold in folds[:OUTER_FOLDS]])
    parts = np.repeat(np.arange(OUTER_FOLDS), [len(fold.val) for fold in folds[:OUTER_FOLDS]])
    name = plan.settings.tuning.metric.removeprefix("val_")
    labels, threshold, classes = corpus.labels[rows], _threshold(plan, best), plan.classes

    def score(one: NDArray[Any]) -> float:
        decided = decide(one, threshold, classes=classes)
        return Validated(rows, parts, labels, one, decided, classes=classes).score(name)

    scores = {kind: score(predicted[kind]) for kind in ("refit", "average", "folds")}
    scores["members"] = float(np.mean([score(member) for member in predicted["members"]]))
    kind, why = preferred(plan.settings.tuning.metric, scores, asked)
    # Fold models alone, of which there were more, have calibrated the refit already.
    temperature = None if kind == "refit" else fit_temperature(labels, predicted[kind])
    return Choice(kind, why, scores, temperature)


def preferred(metric: str, scores: Mapping[str, float], asked: Kind | None) -> tuple[Kind, str]:
    """Return the kind of the final model, and why, given the scores on folds that no model saw.

    Args:
        metric: The objective.
        scores: By kind, and of the `members` of the last two, the mean.
        asked: What the user wants, if anything.

    Returns:
        The kind, and why.
    """
    worse = is_better(metric, scores["members"], scores["average"])
    warned = (
        f"averaged weights do worse ({scores['average']:.4f}) than the models that they average "
        f"({scores['members']:.4f})"
    )
    if asked is not None:
        return asked, "asked for" + f"; {warned}" * (worse and asked == "average")
    kinds: list[Kind] = ["refit", "folds"] if worse else ["refit", "folds", "average"]
    kind = kinds[0]
    for other in kinds[1:]:
        if is_better(metric, scores[other], scores[kind]):
            kind = other
    compared = ", ".join(f"{name} {scores[name]:.4f}" for name in kinds)
    why = f"the best in nested validation ({compared})"
    return kind, f"{why}; {warned}" if worse else why


def _predictions_by_kind(
    runner: TaskRunner,
    plan: Plan,
    folds: Sequence[Fold],
    best: Best,
    console: Console,
) -> dict[str, NDArray[Any]]:
    """Return probabilities of the outer folds, by kind (V, C) and by each member (M, V, C)."""
    tasks = [
        Task(
            validate_joining,
            {
                "params": best.params,
                "fold": fold,
                "members": _inner(folds, number),
                "epochs": _epochs(best),
                "seed": fresh_seed(plan),
            },
        )
        for number, fold in enumerate(folds[:OUTER_FOLDS])
    ]
    words = f"validating what to ship on {OUTER_FOLDS} folds held out"
    found = in_order(follow(console, words, runner.run(tasks), len(tasks)))
    frame = plan.folder.read_confirmation(best.trial)
    names = list(plan.classes.names)
    alone = [frame[frame["fold"] == o][names].to_numpy() for o in range(OUTER_FOLDS)]
    members = np.concatenate([one["members"] for one in found], axis=1)
    return {
        "refit": np.concatenate(alone),
        "average": np.concatenate([one["average"] for one in found]),
        "folds": members.mean(axis=0),
        "members": members,
    }


def _inner(folds: Sequence[Fold], outer: int) -> list[NDArray[np.int64]]:
    """Training samples of the members when one fold is held out of all of them."""
    inside = folds[outer].train
    return [
        np.setdiff1d(inside, fold.val, assume_unique=True)
        for number, fold in enumerate(folds)
        if number != outer
    ]
