"""The floor reads the frozen activations that trials read, and nothing of what it validates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.conftest import folds_of
from trainables.data.sample import Fold
from trainables.modules.blocks.cut import Cut
from trainables.tasks.baseline import pooled, regress_fold
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment


def test_features_are_the_pooled_embeddings_of_both_towers(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    features = pooled(bench)
    rows = torch.arange(30)
    text = bench.source("text", Cut(0, "mean")).gather(rows).values.numpy()
    image = bench.source("image", Cut(0)).gather(rows).values.numpy()
    np.testing.assert_array_equal(features, np.hstack([text, image]))


def test_it_learns_what_is_in_the_images(make_experiment: Callable[..., Experiment]) -> None:
    # The images of a class share a colour: a line through the embeddings parts them.
    bench = Workbench(make_experiment())
    (fold,) = folds_of(1)
    said = regress_fold(bench, fold)
    assert said.shape == (6, 3)
    assert said.dtype == np.float32
    assert said.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    labels = bench.experiment.corpus.labels
    assert (said.argmax(axis=1) == labels[fold.val]).mean() > 0.6


def test_the_labels_that_it_validates_on_change_nothing(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment()
    (fold,) = folds_of(1)
    labelled = list(experiment.corpus.labelled)
    for row in fold.val:
        labelled[row] = replace(labelled[row], label=labelled[(row + 1) % 30].label)
    other = replace(experiment, corpus=replace(experiment.corpus, labelled=tuple(labelled)))
    np.testing.assert_array_equal(
        regress_fold(Workbench(experiment), fold), regress_fold(Workbench(other), fold)
    )


def test_a_class_that_does_not_train_is_never_said(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    labels = bench.experiment.corpus.labels
    fold = Fold(np.flatnonzero(labels != 1), np.flatnonzero(labels == 1))
    said = regress_fold(bench, fold)
    assert (said[:, 1] == 0).all()
    assert said.sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)
