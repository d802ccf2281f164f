"""How much a split that parts duplicates flatters: grouped beside stratified and the lab's.

    python -m tests.benchmarks.leak --model early_fusion --data DATA --folds 5 --repeats 2 \
        --backbone text=DIR --backbone image=DIR --fix text_unfrozen_layers=0

Takes the words of `search.run`. The hand-tuned config and the logistic regression are trained on
the folds of each split, with the same seeds. Under the splits that leak, the samples that have a
duplicate among the training samples are scored apart too.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.workflow import prepare
from tests.benchmarks.reporting import machine, show
from trainables.data.splits import duplicate_groups, make_folds
from trainables.evaluation.choice import Course, Rule, by_others
from trainables.evaluation.resampling import resampled_scores
from trainables.tasks.baseline import regress_fold
from trainables.tasks.confirmation import train_fold
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from search.config.plan import Plan
    from trainables.data.sample import Fold
    from trainables.evaluation.resampling import Validated

_METRIC = "weighted_f1"


def train_all(bench: Workbench, plan: Plan, folds: Sequence[Fold]) -> dict[str, Validated]:
    """Train both models on every fold.

    Args:
        bench: Towers and activations.
        plan: Whose hand-tuned config is trained.
        folds: The folds.

    Returns:
        What each said of what it did not train on, by name.
    """
    params, epochs = dict(plan.hand_tuned), plan.settings.tuning.epochs
    labels = bench.experiment.corpus.labels
    threshold = float(params["neutral_threshold"])
    courses = [train_fold(bench, params, f, epochs, seed=k) for k, f in enumerate(folds)]
    last = slice(-1, None) if len(folds) == 1 else slice(None)  # no others choose for one fold
    tuned = np.concatenate([each["validated"][last] for each in courses], axis=1)
    baseline = np.concatenate([regress_fold(bench, fold) for fold in folds])[None]
    rows = np.concatenate([fold.val for fold in folds])
    numbers = np.repeat(np.arange(len(folds)), [len(fold.val) for fold in folds])
    groups = duplicate_groups(bench.experiment.corpus.labelled)[rows]
    repeats = numbers // (plan.folds if len(folds) > 1 else 1)
    rule = Rule(_METRIC, 1, "searched")
    found = {}
    for name, said, at in (
        ("hand-tuned", tuned, threshold),
        ("logistic regression", baseline, 0.0),
    ):
        course = Course(rows, numbers, labels[rows], said, at, groups, repeats)
        found[name] = by_others(course, rule).validated
    return found


def tied(groups: NDArray[np.int64], folds: Sequence[Fold]) -> NDArray[np.bool_]:
    """Say which validated samples have a duplicate among the training samples of their fold.

    Args:
        groups: Of each labelled sample, shape (N,).
        folds: The folds.

    Returns:
        For each validation, shape (V,).
    """
    return np.concatenate([np.isin(groups[f.val], groups[f.train]) for f in folds])


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark.

    Args:
        arguments: The words after `python -m search.run`.
    """
    plan = make_plan(parse(arguments))
    bench = Workbench(prepare(plan))
    corpus = bench.experiment.corpus
    groups = duplicate_groups(corpus.labelled)
    rows, figures = [], []
    for split in ("grouped", "stratified", "lab"):
        count, repeats = (1, 1) if split == "lab" else (plan.folds, plan.settings.data.repeats)
        folds = make_folds(corpus, split=split, folds=count, seed=0, repeats=repeats)  # type: ignore[arg-type]
        among = tied(groups, folds)
        for name, said in train_all(bench, plan, folds).items():
            score = said.score(_METRIC)
            error = float(resampled_scores(_METRIC, [said])[0].std(ddof=1))
            right = said.decided == said.labels
            shares = [
                float(right[mask].mean()) if mask.any() else math.nan for mask in (among, ~among)
            ]
            rows.append(_row(split, name, (score, error), (among.sum(), *shares)))
            figures.append({"split": split, "model": name, "score": score})
    show(
        f"weighted F1 by split, {plan.folds} folds x {plan.settings.data.repeats}, lab 1 fold",
        ("split", "model", "weighted F1", "s.e.", "duplicates", "right there", "right elsewhere"),
        rows,
        {"machine": machine(), "figures": figures},
        "duplicates: validated samples whose text, words or image a training sample has too",
    )


def _row(split: str, name: str, score: tuple[float, float], dup: tuple[Any, ...]) -> list[str]:
    said = [f"{value:.4f}" if math.isfinite(value) else "" for value in score]
    shares = [f"{value:.3f}" if math.isfinite(value) else "" for value in dup[1:]]
    return [split, name, *said, str(int(dup[0])), *shares]


if __name__ == "__main__":
    main(sys.argv[1:])
