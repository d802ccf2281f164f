"""The floor reads the frozen activations that trials read, and nothing of what it validates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.conftest import folds_of
from trainables.data.sample import Fold
from trainables.data.views.lexicon import lexicon_features
from trainables.modules.blocks.cut import Cut
from trainables.tasks.baseline import frozen_features, regress_fold
from trainables.variants import VARIANTS
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment


def test_features_are_the_pooled_embeddings_of_both_towers(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    features, views = frozen_features(bench, {})
    assert views.shape == (30, 0)
    rows = torch.arange(30)
    text = bench.source("text", Cut(0, "mean")).gather(rows).values.numpy()
    image = bench.source("image", Cut(0)).gather(rows).values.numpy()
    np.testing.assert_array_equal(features, np.hstack([text, image]))


def test_features_are_those_that_a_config_reads(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    features, views = frozen_features(bench, {"text_pooling": "cls", "lexicon": True})
    rows = torch.arange(30)
    text = bench.source("text", Cut(0, "cls")).gather(rows).values.numpy()
    image = bench.source("image", Cut(0)).gather(rows).values.numpy()
    np.testing.assert_array_equal(features, np.hstack([text, image]))
    np.testing.assert_array_equal(views, lexicon_features(bench.experiment.corpus.labelled))


def test_every_variant_has_a_baseline(make_experiment: Callable[..., Experiment]) -> None:
    for name, variant in VARIANTS.items():
        backbones = dict.fromkeys(variant.backbones, "tiny")
        bench = Workbench(make_experiment(variant=name, backbones=backbones, cache=None))
        widths = [tower.width for tower in bench.towers.values()]
        if name in {"early_fusion", "late_fusion"}:  # others are read before their projection
            assert frozen_features(bench, {})[0].shape == (30, sum(widths))
        (fold,) = folds_of(1)
        assert np.isfinite(regress_fold(bench, fold, {"lexicon": True})).all()


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


def test_it_is_the_reference_where_all_components_are_kept(
    make_experiment: Callable[..., Experiment],
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    bench, (fold,) = Workbench(make_experiment()), folds_of(1)
    labels = bench.experiment.corpus.labels
    features = np.hstack(frozen_features(bench, {"lexicon": True}))
    features = StandardScaler().fit(features[fold.train]).transform(features)
    # A rotation changes no distance, so that the penalty and its choice are the same.
    model = GridSearchCV(
        LogisticRegression(tol=1e-6, max_iter=1000),
        {"C": [1e-4, 1e-3, 1e-2, 1e-1]},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        scoring="neg_log_loss",
    ).fit(features[fold.train], labels[fold.train])
    expected = model.predict_proba(features[fold.val])
    found = regress_fold(bench, fold, {"lexicon": True})
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_class_that_does_not_train_is_never_said(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    labels = bench.experiment.corpus.labels
    fold = Fold(np.flatnonzero(labels != 1), np.flatnonzero(labels == 1))
    said = regress_fold(bench, fold)
    assert (said[:, 1] == 0).all()
    assert said.sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)
