"""The benchmarks hold both sides of a ratio to the same work: here that work is compared."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.benchmarks.plain import PlainTrainer
from trainables.training.lockstep import LockstepRun
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment

PARAMS: dict[str, Any] = {"batch_size": 8, "head_dropout": 0.0, "patience": 9}
MODULES = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))


@pytest.mark.slow
@pytest.mark.parametrize("unfrozen", [0, 1])
def test_the_plain_way_trains_the_same_numbers(
    make_experiment: Callable[..., Experiment], unfrozen: int
) -> None:
    experiment = make_experiment()
    layers = {"text_unfrozen_layers": unfrozen, "image_unfrozen_layers": unfrozen}
    bench = Workbench(experiment)
    config = bench.config(PARAMS | layers)
    plain: Any = PlainTrainer(experiment, config, workers=0)
    # The tiny text model drops activations; masks differ where there is padding to drop.
    runs = [
        bench.start(config),
        LockstepRun([plain], experiment.corpus.labels, config, experiment.metric),
    ]
    for run in runs:
        for module in run.trainers[0].classifier.modules():
            for name in {"p", "attention_dropout"} & vars(module).keys():
                setattr(module, name, 0.0)
    for _ in range(3):
        ours, other = (run.next_epoch() for run in runs)
        np.testing.assert_allclose(ours.probabilities, other.probabilities, atol=1e-5)
        assert ours.metrics["train_loss"] == pytest.approx(other.metrics["train_loss"], abs=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_can_be_imported(name: str) -> None:
    importlib.import_module(f"tests.benchmarks.{name}")
