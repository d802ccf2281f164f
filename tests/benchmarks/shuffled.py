"""A search on shuffled labels: what it finds is luck, and the confirmed score must say so.

    python -m tests.benchmarks.shuffled --model early_fusion --data DATA --trials 12 \
        --backbone text=DIR --backbone image=DIR --fix text_unfrozen_layers=0

Takes the words of `search.run`. The labels are dealt out anew among the labelled pairs before the
search, so that nothing can be learnt. A weighted F1 can still be above the majority class's, which
scores nothing on the other classes: `blind_guess` is what no guess that ignores the pair can beat.
A score above that is a leak, or the luck of the best of many.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.workflow import prepare, run_search
from tests.benchmarks.reporting import machine, show
from trainables.data.sample import Corpus
from trainables.data.splits import make_folds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_DEALT = 12_345


def with_shuffled_labels(corpus: Corpus) -> Corpus:
    """Deal the labels out anew.

    Args:
        corpus: The data.

    Returns:
        The same pairs, as many of each class.
    """
    dealt = np.random.default_rng(_DEALT).permutation(corpus.labels)
    pairs = zip(corpus.labelled, dealt, strict=True)
    labelled = tuple(replace(sample, label=label) for sample, label in pairs)
    return Corpus(f"{corpus.name}, labels shuffled", labelled, corpus.unlabelled, corpus.is_demo)


def blind_guess(shares: NDArray[np.float64]) -> float:
    """Give the highest weighted F1, in expectation, of guessing classes without a look.

    A class of share p, guessed at a rate q, has the F1 2 p q / (p + q). Lagrange's condition on
    the sum of p F1 makes p + q proportional to p^1.5, over the classes that are guessed at all.

    Args:
        shares: Of the classes, shape (C,), of sum 1.

    Returns:
        The score, in (0, 1).
    """
    guessed = np.full(len(shares), fill_value=True)
    while True:
        weights = np.where(guessed, shares**1.5, 0.0)
        rates = (shares[guessed].sum() + 1) * weights / weights.sum() - np.where(
            guessed, shares, 0
        )
        if (rates >= 0).all():
            return float((2 * shares**2 * rates / (shares + rates)).sum())
        guessed &= rates >= 0


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark.

    Args:
        arguments: The words after `python -m search.run`.
    """
    plan = make_plan(parse(arguments))
    experiment = prepare(plan)
    corpus = with_shuffled_labels(experiment.corpus)
    data = plan.settings.data
    folds = make_folds(
        corpus, split=data.split, folds=plan.folds, seed=plan.settings.seed, repeats=data.repeats
    )
    shuffled = replace(experiment, corpus=corpus, folds=folds)
    outcome = run_search(plan, shuffled, Console(stderr=True))
    best = outcome.best
    assert best is not None
    assert best.confirmed is not None
    assert best.baseline is not None
    metric = best.objective
    scores = plan.folder.read_trials()["objective"]
    found = {
        "best of the search": float(scores.max()),
        "median trial": float(scores.median()),
        "chosen, confirmed": best.confirmed.score,
        "logistic regression": best.baseline.logistic_regression[metric],
        "majority class": best.baseline.majority[metric],
    }
    if plan.folder.rung_zero.exists():
        found["best of rung zero"] = float(plan.folder.read_rung_zero()["objective"].max())
    if best.ensemble is not None:
        found["ensemble, confirmed"] = best.ensemble.score
    if metric == "val_weighted_f1":
        shares = np.bincount(corpus.labels) / len(corpus.labels)
        found["best guess without a look"] = blind_guess(shares)
    rows = [(name, f"{score:.4f}") for name, score in found.items()]
    low, high = best.confirmed.interval
    record = {"machine": machine(), "scores": found, "interval": [low, high]}
    show(
        f"{len(scores)} trials on shuffled labels",
        ("", metric),
        rows,
        record,
        f"95 % interval of the confirmed score: {low:.4f} to {high:.4f}",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
