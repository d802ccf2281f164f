"""What the average of the weights is worth: scored beside the last step's, of the same training.

    python -m tests.benchmarks.averaging --model early_fusion --data DATA --folds 5 --epochs 5 \
        --backbone text=TEXT --backbone image=IMAGE \
        --fix text_unfrozen_layers=2 --fix image_unfrozen_layers=0 --fix lexicon=true

The words are those of `search.run`; what `--fix` does not hold is hand-tuned. After each epoch
both are scored out of fold, each with the weight of the fallback class that is best for it on
these samples.
"""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.workflow import prepare
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import in_precision
from trainables.evaluation.calibration import log_losses
from trainables.evaluation.decision import decide
from trainables.evaluation.neutral_weight import best_neutral_weight
from trainables.evaluation.scores import classification_scores
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainables.evaluation.classes import Classes
    from trainables.training.lockstep import LockstepRun

_SCORES = ("weighted_f1", "f1_neutral")
_COLUMNS = ("epoch", "weights", "log-loss", "weighted F1", "F1 neutral")


def scores_of(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], classes: Classes
) -> list[float]:
    """Score probabilities.

    Args:
        labels: True classes, shape (V,), int64.
        probabilities: Shape (V, C).
        classes: The C classes.

    Returns:
        The mean cross-entropy in nats, and the scores `_SCORES`.
    """
    weight = best_neutral_weight(labels, probabilities, "weighted_f1", classes)
    decided = decide(probabilities, neutral_weight=weight, classes=classes)
    found = classification_scores(labels, decided, classes)
    return [float(log_losses(labels, probabilities).mean()), *(found[name] for name in _SCORES)]


def of_last_step(run: LockstepRun) -> NDArray[np.float32]:
    """Classify what each fold validates by the weights of the last step, shape (V, C)."""
    made = []
    for trainer in run.trainers:
        trainer._average.exchange()
        made.append(trainer.validate().probabilities)
        trainer._average.exchange()
    return np.concatenate(made)


def compare(words: Sequence[str]) -> list[tuple[int, str, list[float]]]:
    """Train one config, and score both weights after each epoch.

    Returns:
        Epoch, which weights, and the scores of `scores_of`.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(parse([*words, "--out", f"{folder}/run"]))
        experiment = in_precision(prepare(plan), plan)
        bench = Workbench(experiment)
        run = bench.start(bench.config(plan.hand_tuned))
        made: list[tuple[int, str, list[float]]] = []
        for epoch in range(1, experiment.max_epochs + 1):
            averaged = run.next_epoch()
            labels, classes = experiment.corpus.labels[averaged.rows], experiment.corpus.classes
            for name, probabilities in (
                ("last step's", of_last_step(run)),
                ("averaged", averaged.probabilities),
            ):
                made.append((epoch, name, scores_of(labels, probabilities, classes)))
    return made


def main() -> None:
    """Run the command line."""
    found: list[tuple[int, str, list[Any]]] = compare(sys.argv[1:])
    lines = [[str(epoch), name, *(f"{s:.4f}" for s in scores)] for epoch, name, scores in found]
    show("Averaged weights", _COLUMNS, lines, {"found": found, "machine": machine()})


if __name__ == "__main__":
    main()
