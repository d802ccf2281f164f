"""What ships: the chosen config refitted on all data, or its folds' models joined.

The stage is done when the model folder is there and `best.json` says what is in it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from search.candidates import fresh_seed, per_repeat
from search.crew import Job, in_order
from search.errors import WorkError
from search.model_card import model_card
from search.nested import Choice, choose_kind
from search.stage_view import follow
from search.trials import neutral_threshold
from trainables.data.sample import Sentiment
from trainables.seeds import stream_seed
from trainables.training.decision import DecisionRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from search.crew import Crew
    from search.plan import Plan
    from trainables.data.sample import Corpus, Fold


class UntrainableError(WorkError):
    """No model of the chosen config can be trained: another must do."""


def ship(
    crew: Crew,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Mapping[str, Any],
    console: Console,
) -> dict[str, Any]:
    """Train the model that ships, write it, and predict the unlabelled samples.

    Where fold models cannot be trained, one model on all data ships instead.

    Args:
        crew: Does the work.
        plan: The search.
        corpus: The data.
        folds: The fresh ones that the config was confirmed on.
        best: The content of `best.json`.
        console: Where to show how it goes.

    Returns:
        The content of `best.json` with `final`: the kind of model, why it, the scores that
        decided, its epochs, seeds and size.

    Raises:
        UntrainableError: If no model of the config can be trained.
    """
    folds = folds[: per_repeat(plan)]
    choice = choose_kind(crew, plan, corpus, folds, best, console)
    confirmed = best.get("confirmed")
    epochs = int(confirmed["epochs"] if confirmed else best["best_epoch"])
    choice, rows, weights = _trained(crew, plan, (corpus, folds), (best, epochs), choice, console)
    together = len(rows) if choice.kind == "average" else 1
    groups = [weights[k : k + together] for k in range(0, len(weights), together)]
    members = [(best["params"], group, 1.0) for group in groups]
    rule = _rule(best, choice)
    folder = plan.folder.model.absolute()
    arguments = {"members": members, "rule": rule, "folder": folder, "home": crew.home}
    written = crew.here(Job("assemble", arguments))
    if files := written.pop("files", None):
        _receive(folder, files)
    final = {
        "kind": choice.kind,
        "why": choice.why,
        "scores": choice.scores,
        "epochs": epochs,
        "seeds": plan.settings.selection.final_seeds,
        "members": len(members),
        "temperature": rule.temperature,
        "parameters": written["model_parameters"],
    }
    return _publish(plan, corpus, {**best, "final": final}, written)


def _trained(
    crew: Crew,
    plan: Plan,
    data: tuple[Corpus, Sequence[Fold]],
    config: tuple[Mapping[str, Any], int],
    choice: Choice,
    console: Console,
) -> tuple[Choice, list[NDArray[np.int64]], list[bytes]]:
    """Train what ships, a refit if nothing else can be; gives what it is in the end."""
    (corpus, folds), (best, epochs) = data, config
    is_refit = choice.kind == "refit"
    rows = [np.arange(len(corpus.labelled))] if is_refit else [fold.train for fold in folds]
    jobs = _trainings(plan, best["params"], rows, epochs)
    words = f"training what ships: {choice.kind} of {len(jobs)}, {epochs} epochs"
    try:
        return choice, rows, in_order(follow(console, words, crew.run(jobs), len(jobs)))
    except WorkError as error:
        if is_refit:
            msg = f"no model of trial {best['trial']} could be trained: {error}"
            raise UntrainableError(msg) from error
        reason = f"the models of the {choice.kind} could not be trained ({error})"
    console.print(f"{reason}; one model on all data is, instead", highlight=False)
    refit = Choice("refit", f"{reason}: one model is trained on all data", choice.scores)
    return _trained(crew, plan, data, config, refit, console)


def _trainings(
    plan: Plan, params: Mapping[str, Any], rows: Sequence[NDArray[np.int64]], epochs: int
) -> list[Job]:
    """A member for each seed and each choice of rows, seed by seed."""
    shared = {"params": params, "epochs": epochs}
    return [
        Job("train_member", {**shared, "rows": some, "seed": stream_seed(fresh_seed(plan), k)})
        for k in range(plan.settings.selection.final_seeds)
        for some in rows
    ]


def _receive(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a model that was assembled on another machine."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, content in files.items():
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _publish(
    plan: Plan, corpus: Corpus, best: dict[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:
    folder = plan.folder
    guids = [sample.guid for sample in corpus.unlabelled]
    folder.write_predictions(guids, [Sentiment(c).tag for c in written["classes"]])
    folder.write_probabilities(guids, written["probabilities"])
    card = model_card(folder.read_search(), best)
    (folder.model / "README.md").write_text(card, encoding="utf-8")
    folder.write_best(best)
    return best


def _rule(best: Mapping[str, Any], choice: Choice) -> DecisionRule:
    decision = best.get("decision")
    if decision is None:
        return DecisionRule(neutral_threshold(best["params"]))
    temperature = choice.temperature or decision["temperature"]
    return DecisionRule(decision["neutral_threshold"], temperature)
