"""What each part of a search is worth to what ships, from the predictions that a run keeps.

    python -m tests.benchmarks.parts RUN

Nothing is trained. Each part is left out in turn: trials and regressions that use it are no
candidates, and the ensemble is selected from the rest. Selection is nested: a fold is predicted
by members, weights and weight of the fallback class that the other folds select, as a search
proposes them. A trial's epoch is the one that it reported, which all folds had a say in, with and
without the part.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from analysis.run_folder.run import load
from analysis.tables.rung_zero import behind
from search.study.frozen_first import is_frozen
from tests.benchmarks.reporting import machine, show
from trainables.evaluation.decision import decide
from trainables.evaluation.ensembling import Members, select_bagged, select_greedily
from trainables.evaluation.neutral_weight import best_neutral_weight
from trainables.evaluation.resampling import Validated, paired_bootstrap
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from analysis.run_folder.run import Run

SIZE = 8
_INPUTS = ("text_cleaning", "text_pooled_layers", "image_preparation")


class Candidate(NamedTuple):
    """A trial, or a regression of rung zero.

    Attributes:
        params: Its hyperparameters; of a regression what it reads.
        is_trial: Whether it is a trial.
        probabilities: Out of fold, shape (N, C).
    """

    params: Mapping[str, Any]
    is_trial: bool
    probabilities: NDArray[np.floating]


def candidates_of(run: Run) -> tuple[list[Candidate], NDArray[np.int64], NDArray[np.int64]]:
    """Read what could be in an ensemble.

    Args:
        run: A run with rung zero and folds drawn once.

    Returns:
        The candidates, the row of each validated sample (N,), and its fold (N,).
    """
    folder, names = run.folder, list(run.classes.names)
    frames = folder.read_rung_zero_probabilities().groupby("combination", sort=True)
    reads = folder.read_stages()["rung_zero"].depends_on["combinations"]
    made = [
        Candidate(read, False, frame[names].to_numpy())
        for read, (_, frame) in zip(reads, frames, strict=True)
    ]
    first = next(iter(frames))[1]
    for trial in run.trials["trial"]:
        if folder.trial_probabilities(trial).exists():
            frame = folder.read_trial_probabilities(trial)
            made.append(Candidate(run.config(trial), True, frame[names].to_numpy()))
    return made, first["row"].to_numpy(), first["fold"].to_numpy()


def members_of(run: Run) -> tuple[list[Candidate], Members, NDArray[np.int64]]:
    """Read what could be in an ensemble, ready to be selected from.

    Args:
        run: As in `candidates_of`.

    Returns:
        The candidates, what they predict, and the group of duplicates of each sample, shape (N,).
    """
    candidates, rows, folds = candidates_of(run)
    stacked = np.stack([one.probabilities for one in candidates])
    members = Members(rows, folds, run.labels[rows], stacked, np.zeros(len(stacked)), run.classes)
    return candidates, members, groups_of(run)[rows]


def parts_of(run: Run, candidates: Sequence[Candidate]) -> dict[str, Callable[[Candidate], bool]]:
    """Say by part which candidates do without it."""
    inputs = VARIANTS[run.search.model].inputs
    own = {name: getattr(inputs, name, "last") for name in _INPUTS}
    parts: dict[str, Callable[[Candidate], bool]] = {"nothing": lambda _: True}
    sources = {str(one.params.get("text_backbone", "")) for one in candidates}
    for source in sorted({name for both in sources for name in both.split("+")} - {""}):
        parts[source] = lambda one, source=source: (  # type: ignore[misc]
            source not in str(one.params["text_backbone"]).split("+")
        )
    parts["the lexicon"] = lambda one: not one.params.get("lexicon")
    parts["other inputs than the default"] = lambda one: all(
        one.params.get(name, value) == value for name, value in own.items()
    )
    parts["regressions of rung zero"] = lambda one: one.is_trial
    parts["trials"] = lambda one: not one.is_trial
    parts["open blocks"] = lambda one: is_frozen(one.params)
    left = {name: sum(map(keeps, candidates)) for name, keeps in parts.items()}
    return {
        name: keeps
        for name, keeps in parts.items()
        if name == "nothing" or 0 < left[name] < len(candidates)
    }


def nested(
    members: Members, groups: NDArray[np.int64], size: int, seed: int
) -> tuple[Validated, float]:
    """Predict each fold by what the other folds select.

    Args:
        members: Predictions of all candidates.
        groups: Group of duplicates of each validation, shape (V,).
        size: The most members; 1 is the best candidate alone.
        seed: Of the selection.

    Returns:
        The predictions, and the mean number of members.
    """
    predicted = np.empty(members.probabilities.shape[1:])
    decided, counts = np.empty(len(members.labels), dtype=np.int64), []
    for part in np.unique(members.parts):
        inside = members.parts == part
        others = members.where(~inside)
        if size == 1:
            weights = select_greedily(others, rounds=1)
        else:
            weights = select_bagged(others, size, seed=seed)
        weight = best_neutral_weight(
            others.labels, np.tensordot(weights, others.probabilities, 1), "weighted_f1",
            members.classes,
        )  # fmt: skip
        predicted[inside] = np.tensordot(weights, members.probabilities[:, inside], axes=1)
        decided[inside] = decide(predicted[inside], neutral_weight=weight, classes=members.classes)
        counts.append((weights > 0).sum())
    made = Validated(
        members.rows,
        members.parts,
        members.labels,
        predicted,
        decided,
        groups,
        classes=members.classes,
    )
    return made, float(np.mean(counts))


def main() -> None:
    """Leave each part out of a run, and print what that costs."""
    run = load(Path(sys.argv[1]))
    seed = run.search.settings.seed
    candidates, everything, groups = members_of(run)
    whole, _ = nested(everything, groups, SIZE, seed)
    cases = {name: (keeps, SIZE) for name, keeps in parts_of(run, candidates).items()}
    cases["the ensemble: the best alone"] = (lambda _: True, 1)
    lines, record = [], {}
    for name, (keeps, size) in cases.items():
        kept = np.flatnonzero([keeps(one) for one in candidates])
        made, members = nested(everything.only(kept), groups, size, seed)
        differences = [paired_bootstrap(score, made, whole) for score in ("weighted_f1", "loss")]
        scores = [made.score(score) for score in ("weighted_f1", "f1_neutral", "loss")]
        shown = [behind(-one.difference, one.standard_error) for one in differences]
        lines.append(
            [name, str(len(kept)), f"{members:.1f}", *(f"{s:.4f}" for s in scores), *shown]
        )
        record[name] = scores
    columns = [
        "left out", "candidates", "members", "weighted F1", "F1 neutral", "log-loss",
        "weighted F1 without it", "log-loss without it",
    ]  # fmt: skip
    show("Parts of a search", columns, lines, {"parts": record, "machine": machine()})


def groups_of(run: Run) -> NDArray[np.int64]:
    """Return the group of duplicates of each labelled sample, shape (N,)."""
    return run.samples.loc[run.samples["tag"].notna(), "group"].to_numpy(np.int64)


if __name__ == "__main__":
    main()
