"""A fold trained again says after each epoch what a trial's fold would."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from tests.conftest import folds_of
from trainables.tasks.confirmation import train_fold
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment

PARAMS = {"batch_size": 8, "projection_width": 16, "hidden_width": 16, "image_unfrozen_layers": 0}


def test_a_fold_is_trained_as_in_a_trial(make_experiment: Callable[..., Experiment]) -> None:
    bench = Workbench(make_experiment())
    folds = folds_of(2)
    course = train_fold(bench, PARAMS, folds[1], 2, seed=9)
    run = bench.start(bench.config(PARAMS), folds, seeds=[8, 9])
    rest = torch.arange(30, 36)
    for epoch in range(2):
        said = run.next_epoch().probabilities[6:]
        assert (course["validated"][epoch] == said).all()
        unlabelled = run.trainers[1].predict(rest).exp().numpy()
        assert (course["unlabelled"][epoch] == unlabelled).all()
    assert course["validated"].shape == (2, 6, 3)
    assert course["diverged"] == ""


def test_a_course_that_diverges_ends_with_its_reason(
    make_experiment: Callable[..., Experiment],
) -> None:
    params = PARAMS | {"head_learning_rate": 1e30, "schedule": "plateau"}
    course = train_fold(Workbench(make_experiment()), params, folds_of(1)[0], 3, seed=1)
    assert "lower the learning rates" in course["diverged"]
    assert course["validated"].shape[0] < 3
    assert len(course["unlabelled"]) == len(course["validated"])


def test_no_unlabelled_samples_make_an_empty_answer(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment()
    alone = replace(experiment, corpus=replace(experiment.corpus, unlabelled=()))
    course = train_fold(Workbench(alone), PARAMS, folds_of(1)[0], 2, seed=1)
    assert course["unlabelled"].shape == (2, 0, 3)
    assert course["unlabelled"].dtype == np.float32
