"""What ships: the chosen config refitted on all data, or its folds' models joined.

The stage is done when the model folder is there and `best.json` says what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.resampling import Validated
from analysis.results import CLASSES
from analysis.scores import decide
from search.candidates import fresh_seed, per_repeat
from search.cluster import WorkError
from search.crew import Job
from search.model_card import model_card
from search.stage_view import follow
from trainables.data.sample import Sentiment
from trainables.objective import is_better
from trainables.training.decision import DecisionRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from search.crew import Crew
    from search.plan import Plan
    from trainables.data.sample import Corpus, Fold

Kind = Literal["refit", "average", "ensemble"]

_OUTER_FOLDS = 2  # each costs as much as the training of about two fold models
_LEAST_FOLDS = 3  # fewer leave no two members to join once one fold is held out


def ship(
    crew: Crew,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Mapping[str, Any],
    console: Console,
) -> dict[str, Any]:
    """Train the model that ships, write it, and predict the unlabelled samples.

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
    """
    folds = folds[: per_repeat(plan)]
    confirmed = best.get("confirmed")
    epochs = int(confirmed["epochs"] if confirmed else best["best_epoch"])
    seeds = [fresh_seed(plan) + s for s in range(plan.settings.selection.final_seeds)]
    rule = _rule(best)
    kind, scores, why = _choose_kind(crew, plan, corpus, folds, best, (epochs, rule, console))
    rows = [np.arange(len(corpus.labelled))] if kind == "refit" else [f.train for f in folds]
    jobs = [
        Job(
            "train_member",
            {"params": best["params"], "rows": some, "epochs": epochs, "seed": seed},
        )
        for seed in seeds
        for some in rows
    ]
    words = f"training what ships: {kind} of {len(jobs)}, {epochs} epochs"
    weights = _in_order(follow(console, words, crew.run(jobs), len(jobs)))
    params = best["params"]
    joined = [weights[k : k + len(rows)] for k in range(0, len(weights), len(rows))]
    members = (
        [(params, group, 1.0) for group in joined]
        if kind == "average"
        else [(params, [one], 1.0) for one in weights]
    )
    written = crew.here(
        Job("assemble", {"members": members, "rule": rule, "folder": plan.folder.model.absolute()})
    )
    final = {
        "kind": kind,
        "why": why,
        "scores": scores,
        "epochs": epochs,
        "seeds": len(seeds),
        "members": len(members),
        "parameters": written["model_parameters"],
    }
    return _publish(plan, corpus, {**best, "final": final}, written)


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


def _rule(best: Mapping[str, Any]) -> DecisionRule:
    decision = best.get("decision")
    if decision is None:
        return DecisionRule(float(best["params"].get("neutral_threshold", 0.0)))
    return DecisionRule(decision["neutral_threshold"], decision["temperature"])


def _in_order(results: Any) -> list[Any]:
    found = dict(results)
    for result in found.values():
        if isinstance(result, WorkError):
            raise result
    return [found[k] for k in sorted(found)]


def _choose_kind(
    crew: Crew,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Mapping[str, Any],
    more: tuple[int, DecisionRule, Console],
) -> tuple[Kind, dict[str, float] | None, str]:
    asked = plan.settings.selection.final
    if asked == "refit":
        return "refit", None, "asked for"
    if plan.folds < _LEAST_FOLDS or best.get("confirmed") is None:
        if asked is not None:
            return asked, None, "asked for; there are too few folds to validate it"
        reason = "there are too few folds to join, or none was confirmed"
        return "refit", None, f"{reason}: one model is trained on all data"
    scores = _nested_scores(crew, plan, corpus, folds, best, more)
    metric = plan.settings.tuning.metric
    return (*preferred(metric, scores, asked),)


def preferred(
    metric: str, scores: dict[str, float], asked: Kind | None
) -> tuple[Kind, dict[str, float], str]:
    """Say what ships, given how each kind did on folds that none of its models saw.

    Args:
        metric: The objective.
        scores: By kind, and of the `members` of the last two, the mean.
        asked: What the user wants, if anything.

    Returns:
        The kind, the scores, and why.
    """
    worse = is_better(metric, scores["members"], scores["average"])
    warned = (
        f"averaged weights do worse ({scores['average']:.4f}) than the models that they average "
        f"({scores['members']:.4f})"
    )
    if asked is not None:
        return asked, scores, "asked for" + f"; {warned}" * (worse and asked == "average")
    kinds: list[Kind] = ["refit", "ensemble"] if worse else ["refit", "ensemble", "average"]
    kind = kinds[0]
    for other in kinds[1:]:
        if is_better(metric, scores[other], scores[kind]):
            kind = other
    told = ", ".join(f"{name} {scores[name]:.4f}" for name in kinds)
    why = f"the best in nested validation ({told})"
    return kind, scores, f"{why}; {warned}" if worse else why


def _nested_scores(
    crew: Crew,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Mapping[str, Any],
    more: tuple[int, DecisionRule, Console],
) -> dict[str, float]:
    epochs, rule, console = more
    outer = range(_OUTER_FOLDS)
    jobs = [
        Job(
            "validate_joining",
            {
                "params": best["params"],
                "fold": folds[o],
                "members": _inner(folds, o),
                "epochs": epochs,
                "seed": fresh_seed(plan),
            },
        )
        for o in outer
    ]
    words = f"validating what to ship on {_OUTER_FOLDS} folds held out"
    found = _in_order(follow(console, words, crew.run(jobs), len(jobs)))
    frame = plan.folder.read_confirmation(best["trial"])
    alone = [frame[frame["fold"] == o][list(CLASSES)].to_numpy() for o in outer]
    name = plan.settings.tuning.metric.removeprefix("val_")

    def score(said: Sequence[NDArray[Any]]) -> float:
        rows = np.concatenate([folds[o].val for o in outer])
        parts = np.repeat(np.array(outer), [len(folds[o].val) for o in outer])
        both = np.concatenate(said)
        decided = decide(both, rule.neutral_threshold)
        return Validated(rows, parts, corpus.labels[rows], both, decided).score(name)

    count = len(folds) - 1
    members = [score([one["members"][m] for one in found]) for m in range(count)]
    return {
        "refit": score(alone),
        "average": score([one["average"] for one in found]),
        "ensemble": score([one["members"].mean(axis=0) for one in found]),
        "members": float(np.mean(members)),
    }


def _inner(folds: Sequence[Fold], outer: int) -> list[NDArray[np.int64]]:
    """Training samples of the members when one fold is held out of all of them."""
    inside = folds[outer].train
    return [
        np.setdiff1d(inside, fold.val, assume_unique=True)
        for number, fold in enumerate(folds)
        if number != outer
    ]
