"""The baseline reads the frozen activations that trials read, and nothing of what it validates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from tests.conftest import TINY_BACKBONES, folds_of
from trainables.data.sample import Fold
from trainables.data.views.lexicon import lexicon_features
from trainables.modules.blocks.cut import Cut
from trainables.tasks.baseline import _Regression, fit_regression, frozen_features, regress_fold
from trainables.variants import VARIANTS
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

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


@pytest.mark.slow
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


def folded(
    bench: Workbench, params: Mapping[str, Any], fitted: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Probabilities of a regression that was made a classifier."""
    state = load(fit_regression(bench, params, fitted))
    assert {*state} == {"head.linear.weight", "head.linear.bias"}
    assert all(torch.isfinite(value).all() for value in state.values())
    config = bench.variant.frozen(params)
    classifier = bench.variant.build(config, bench.towers, "regression")
    classifier.load_state_dict(state)
    modality = bench.experiment.modality
    readings = bench.variant.readings(config, modality)
    batch = {slot: bench.source(*read) for slot, read in readings.items()}
    batch |= {name: bench.view(name) for name in bench.variant.views(config, modality)}
    with torch.inference_mode():
        logits = classifier({n: one.gather(torch.from_numpy(rows)) for n, one in batch.items()})
    found: NDArray[np.float32] = logits.softmax(dim=-1).numpy()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("lexicon", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_regression_is_a_linear_classifier_of_every_variant(
    make_experiment: Callable[..., Experiment], name: str, lexicon: bool
) -> None:
    backbones = TINY_BACKBONES[name]
    bench = Workbench(make_experiment(variant=name, backbones=backbones))
    (fold,), params = folds_of(1), {"lexicon": lexicon}
    expected = regress_fold(bench, fold, params)
    np.testing.assert_allclose(folded(bench, params, fold.train, fold.val), expected, atol=1e-5)
    assert expected.std(axis=0).max() > 0.01, "were all samples alike, little would be shown"


@pytest.mark.parametrize(
    ("variant", "params", "changes"),
    [
        ("early_fusion", {"lexicon": True}, {"modality": "text"}),
        ("early_fusion", {}, {"modality": "image"}),
        ("late_fusion", {"text_unfrozen_layers": 2, "image_unfrozen_layers": 1}, {}),
        ("blip", {"fusion": "cross", "lexicon": True}, {}),
    ],
)
def test_it_reads_what_the_config_reads_however_deep_that_trains(
    make_experiment: Callable[..., Experiment],
    variant: str,
    params: dict[str, Any],
    changes: dict[str, Any],
) -> None:
    backbones = TINY_BACKBONES[variant]
    bench = Workbench(make_experiment(variant=variant, backbones=backbones, **changes))
    (fold,) = folds_of(1)
    expected = regress_fold(bench, fold, params)
    np.testing.assert_allclose(folded(bench, params, fold.train, fold.val), expected, atol=1e-5)


def test_it_reads_two_sources_and_two_layers_of_a_role(
    make_experiment: Callable[..., Experiment], weights: Mapping[str, str]
) -> None:
    texts = {"text/bert": weights["bert"], "text/other": weights["bert"]}
    bench = Workbench(make_experiment(backbones={**texts, "image": weights["mobilenet"]}))
    params = {"text_backbone": "bert+other", "text_pooled_layers": "both", "lexicon": True}
    (fold,) = folds_of(1)
    expected = regress_fold(bench, fold, params)
    np.testing.assert_allclose(folded(bench, params, fold.train, fold.val), expected, atol=1e-5)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_class_that_does_not_train_has_no_probability_in_a_classifier_either(
    make_experiment: Callable[..., Experiment], missing: int
) -> None:
    bench, params = Workbench(make_experiment()), {"lexicon": True}
    labels = bench.experiment.corpus.labels
    rows = np.flatnonzero(labels != missing)
    fold = Fold(rows[5:], np.arange(30))
    found = folded(bench, params, fold.train, fold.val)
    np.testing.assert_allclose(found, regress_fold(bench, fold, params), atol=1e-5)
    assert (found[:, missing] == 0).all()


def test_features_far_from_0_keep_their_digits_in_a_linear_layer() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    scales = 10 ** random.uniform(-2, 2, 40)
    embeddings = random.normal(labels[:, None], 2, (300, 40)) * scales + 20 * scales
    embeddings[:, 7] = 3.0  # constant where it trains
    views = random.poisson(labels[:, None] + 1.0, (300, 5)) * 30.0
    features = embeddings.astype(np.float32), views.astype(np.float32)
    rows = np.arange(200)
    regression = _Regression(*features, rows, labels)
    weight, bias = (torch.from_numpy(part).float() for part in regression.affine())
    logits = torch.from_numpy(np.hstack(features)[200:]) @ weight.T + bias
    expected = regression.predict(*features, np.arange(200, 300))
    np.testing.assert_allclose(logits.softmax(dim=-1), expected, atol=1e-5)
    assert (expected.argmax(axis=1) == labels[200:]).mean() > 0.8
