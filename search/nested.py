"""Which kind of model to ship, asked of folds that none of its parts saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.calibration import fit_temperature
from analysis.resampling import Validated
from analysis.results import CLASSES
from analysis.scores import decide
from search.candidates import fresh_seed
from search.crew import Job, in_order
from search.errors import WorkError
from search.stage_view import follow
from trainables.objective import is_better

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from search.crew import Crew
    from search.plan import Plan
    from trainables.data.sample import Corpus, Fold

Kind = Literal["refit", "average", "ensemble"]

OUTER_FOLDS = 2  # each costs as much as the training of about two fold models
LEAST_FOLDS = 3  # fewer leave no two members to join once one fold is held out


@dataclass(frozen=True)
class Choice:
    """What ships, and why.

    Attributes:
        kind: `refit`, `average` or `ensemble`.
        why: In words.
        scores: The objective by kind, and the mean of the `members`; None where none was asked.
        temperature: Calibrates this kind of model; None where nested validation said nothing.
    """

    kind: Kind
    why: str
    scores: dict[str, float] | None = None
    temperature: float | None = None


def choose_kind(
    crew: Crew,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    best: Mapping[str, Any],
    console: Console,
) -> Choice:
    """Choose what ships: what was asked for, or what nested validation prefers.

    Args:
        crew: Does the work.
        plan: The search.
        corpus: The data.
        folds: The first repeat of those that the config was confirmed on.
        best: The content of `best.json`.
        console: Where to show how it goes.

    Returns:
        The choice.
    """
    asked = plan.settings.selection.final
    if asked == "refit":
        return Choice("refit", "asked for")
    if plan.folds < LEAST_FOLDS or best.get("confirmed") is None:
        if asked is not None:
            return Choice(asked, "asked for; there are too few folds to validate it")
        reason = "there are too few folds to join, or none was confirmed"
        return Choice("refit", f"{reason}: one model is trained on all data")
    try:
        said = _said_by_kind(crew, plan, folds, best, console)
    except WorkError as error:
        kind, reason = asked or "refit", f"joining fold models could not be validated: {error}"
        console.print(reason, highlight=False)
        return Choice(kind, f"asked for; {reason}" if asked else reason)
    rows = np.concatenate([fold.val for fold in folds[:OUTER_FOLDS]])
    parts = np.repeat(np.arange(OUTER_FOLDS), [len(fold.val) for fold in folds[:OUTER_FOLDS]])
    name = plan.settings.tuning.metric.removeprefix("val_")
    labels, threshold = corpus.labels[rows], float(best["decision"]["neutral_threshold"])

    def score(one: NDArray[Any]) -> float:
        return Validated(rows, parts, labels, one, decide(one, threshold)).score(name)

    scores = {kind: score(said[kind]) for kind in ("refit", "average", "ensemble")}
    scores["members"] = float(np.mean([score(member) for member in said["members"]]))
    kind, why = preferred(plan.settings.tuning.metric, scores, asked)
    # Fold models alone, of which there were more, have calibrated the refit already.
    temperature = None if kind == "refit" else fit_temperature(labels, said[kind])
    return Choice(kind, why, scores, temperature)


def preferred(metric: str, scores: Mapping[str, float], asked: Kind | None) -> tuple[Kind, str]:
    """Say what ships, given how each kind did on folds that none of its models saw.

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
    kinds: list[Kind] = ["refit", "ensemble"] if worse else ["refit", "ensemble", "average"]
    kind = kinds[0]
    for other in kinds[1:]:
        if is_better(metric, scores[other], scores[kind]):
            kind = other
    told = ", ".join(f"{name} {scores[name]:.4f}" for name in kinds)
    why = f"the best in nested validation ({told})"
    return kind, f"{why}; {warned}" if worse else why


def _said_by_kind(
    crew: Crew,
    plan: Plan,
    folds: Sequence[Fold],
    best: Mapping[str, Any],
    console: Console,
) -> dict[str, NDArray[Any]]:
    """Class probabilities of the outer folds by kind (V, C), and by each member (M, V, C)."""
    jobs = [
        Job(
            "validate_joining",
            {
                "params": best["params"],
                "fold": fold,
                "members": _inner(folds, number),
                "epochs": best["confirmed"]["epochs"],
                "seed": fresh_seed(plan),
            },
        )
        for number, fold in enumerate(folds[:OUTER_FOLDS])
    ]
    words = f"validating what to ship on {OUTER_FOLDS} folds held out"
    found = in_order(follow(console, words, crew.run(jobs), len(jobs)))
    frame = plan.folder.read_confirmation(best["trial"])
    alone = [frame[frame["fold"] == o][list(CLASSES)].to_numpy() for o in range(OUTER_FOLDS)]
    members = np.concatenate([one["members"] for one in found], axis=1)
    return {
        "refit": np.concatenate(alone),
        "average": np.concatenate([one["average"] for one in found]),
        "ensemble": members.mean(axis=0),
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
