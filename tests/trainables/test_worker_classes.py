"""Two and seven classes through training, the baseline, the model folder and its predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.conftest import train_final
from trainables.evaluation.classes import Classes, classes_named
from trainables.inference.about import ModelError, classes_in, read_about
from trainables.inference.predictor import Predictor
from trainables.tasks.baseline import fit_regression, regress_fold
from trainables.tasks.confirmation import train_fold
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

PARAMS = {"batch_size": 8, "hidden_width": 16}
YES_NO = Classes(("no", "yes"), None, {"0": "no", "1": "yes"})
SEVEN = classes_named(tuple("abcdefg"), "g")


def of(corpus: Corpus, classes: Classes) -> Corpus:
    """The same samples with other classes, in turn."""
    labelled = (replace(s, label=k % len(classes)) for k, s in enumerate(corpus.labelled))
    return replace(corpus, labelled=tuple(labelled), classes=classes)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["early_fusion", "late_fusion"])
@pytest.mark.parametrize("classes", [YES_NO, SEVEN])
def test_a_trial_reports_the_scores_of_the_classes_of_the_data(
    corpus: Corpus, make_experiment: Callable[..., Experiment], classes: Classes, variant: str
) -> None:
    bench = Workbench(make_experiment(corpus=of(corpus, classes), variant=variant))
    scores = bench.start(bench.config(PARAMS)).next_epoch()
    assert scores.probabilities.shape == (6, len(classes))
    named = [name for name in scores.metrics if name.startswith("val_f1_")]
    assert named[::2] == [f"val_f1_{name}" for name in classes.names]
    assert ("val_worst_f1" in scores.metrics) is (classes.fallback is None)
    course = train_fold(bench, PARAMS, bench.experiment.folds[0], 1, 7)
    assert course["unlabelled"].shape == (1, 6, len(classes))


@pytest.mark.parametrize("classes", [YES_NO, SEVEN])
def test_the_baseline_is_of_the_classes_of_the_data(
    corpus: Corpus, make_experiment: Callable[..., Experiment], classes: Classes
) -> None:
    bench = Workbench(make_experiment(corpus=of(corpus, classes)))
    probabilities = regress_fold(bench, bench.experiment.folds[0])
    assert probabilities.shape == (6, len(classes))
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert fit_regression(bench, {}, np.arange(30))


@pytest.mark.slow
@pytest.mark.parametrize("classes", [YES_NO, SEVEN])
def test_a_model_keeps_its_classes_and_predicts_among_them(
    corpus: Corpus,
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    classes: Classes,
) -> None:
    experiment = make_experiment(corpus=of(corpus, classes))
    written = train_final(experiment, PARAMS | {"neutral_threshold": 0.3}, 1, tmp_path / "model")
    predictor = Predictor(tmp_path / "model")
    assert (predictor.classes, predictor.classes.tags) == (classes, classes.tags)
    made = predictor.predict(corpus.unlabelled)
    assert [one.tag for one in made] == [classes.names[k] for k in written["classes"]]
    assert np.array([one.probabilities for one in made]) == pytest.approx(
        written["probabilities"], abs=1e-5
    )


def test_a_fallback_class_that_is_none_is_damage(
    corpus: Corpus, make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment(corpus=of(corpus, SEVEN))
    train_final(experiment, PARAMS, 1, tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    about = json.loads(config.read_text())
    assert (about["classes"], about["fallback_class"]) == (list("abcdefg"), "g")
    assert classes_in({}).names == ("positive", "neutral", "negative"), "an older model"
    config.write_text(json.dumps(about | {"fallback_class": "z"}))
    with pytest.raises(ModelError, match="must have a fallback_class among its classes, got 'z'"):
        read_about(tmp_path / "model")
