"""A trial with a view: what it learns from it, and that without one nothing of it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.conftest import TINY_BACKBONES, folds_of, parameters_of
from tests.trainables.conftest import PARAMS
from trainables.data.views.lexicon import lexicon_features
from trainables.evaluation.decision import DecisionRule
from trainables.inference.predictor import Predictor
from trainables.tasks.final import assemble, train_member
from trainables.tasks.final_member import FinalMember
from trainables.variants import VARIANTS
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

EVERY = pytest.mark.parametrize("name", VARIANTS)


def trainer_of(experiment: Experiment, **params: Any) -> Any:
    bench = Workbench(experiment)
    (trainer,) = bench.start(bench.config(PARAMS | params)).trainers
    return trainer


def with_text(corpus: Corpus, rows: Any, text: str) -> Corpus:
    labelled = list(corpus.labelled)
    for row in rows:
        labelled[row] = replace(labelled[row], text=text)
    return replace(corpus, labelled=tuple(labelled))


def test_without_a_view_a_classifier_has_no_part_of_it(
    make_experiment: Callable[..., Experiment],
) -> None:
    names = trainer_of(make_experiment()).classifier.state_dict()
    assert not [name for name in names if "view" in name]


def test_the_constants_are_those_of_the_samples_that_train(
    make_experiment: Callable[..., Experiment], corpus: Corpus
) -> None:
    (fold,) = folds_of(1)
    trainer = trainer_of(make_experiment(), lexicon=True)
    features = lexicon_features(corpus.labelled)[fold.train]
    standardize = trainer.classifier.views.standardize
    np.testing.assert_allclose(standardize.mean, features.mean(axis=0), rtol=1e-5)
    other = with_text(corpus, fold.val, "AWFUL!!! :( #sad @all")
    again = trainer_of(make_experiment(corpus=other), lexicon=True)
    assert all(map(torch.equal, parameters_of([trainer]), parameters_of([again])))


def test_samples_that_a_schedule_holds_back_give_no_constants(
    make_experiment: Callable[..., Experiment], corpus: Corpus
) -> None:
    trainer = trainer_of(make_experiment(), lexicon=True, schedule="plateau", patience=5)
    assert len(trainer._watched)
    features = lexicon_features(corpus.labelled)[trainer._train.numpy()]
    standardize = trainer.classifier.views.standardize
    np.testing.assert_allclose(standardize.mean, features.mean(axis=0), rtol=1e-5)


@pytest.mark.slow
@EVERY
def test_marks_that_cleaning_drops_change_what_a_config_with_the_view_predicts(
    make_experiment: Callable[..., Experiment], corpus: Corpus, name: str
) -> None:
    (fold,) = folds_of(1)
    said = {}
    for text in ("a good day", "#a good day"):  # alike once they are cleaned
        for lexicon in (False, True):
            experiment = make_experiment(
                variant=name,
                backbones=TINY_BACKBONES[name],
                corpus=with_text(corpus, fold.val, text),
            )
            trainer = trainer_of_variant(experiment, lexicon=lexicon)
            said[text, lexicon] = trainer.validate().probabilities
    assert np.array_equal(said["a good day", False], said["#a good day", False])
    assert not np.allclose(said["a good day", True], said["#a good day", True], atol=1e-6)


def trainer_of_variant(experiment: Experiment, **params: Any) -> Any:
    bench = Workbench(experiment)
    config = replace(bench.variant.hand_tuned, batch_size=8, **params)
    (trainer,) = bench.start(config).trainers
    return trainer


@pytest.mark.slow
@EVERY
def test_a_saved_model_reads_the_view_as_its_trainer(
    make_experiment: Callable[..., Experiment], corpus: Corpus, tmp_path: Path, name: str
) -> None:
    experiment = make_experiment(variant=name, backbones=TINY_BACKBONES[name])
    params = {"batch_size": 8, "hidden_width": 16, "lexicon": True}
    bench = Workbench(experiment)
    rows = np.arange(len(corpus.labelled))
    weights = [train_member(bench, params, rows, 1, seed) for seed in (0, 1)]
    members = [FinalMember(params, [one]) for one in weights]
    result = assemble(bench, members, DecisionRule(0.3), tmp_path / "model")
    got = Predictor(tmp_path / "model").probabilities(corpus.unlabelled)
    assert got == pytest.approx(result["probabilities"], abs=1e-5)


def test_a_view_of_texts_is_not_read_where_texts_are_not(
    make_experiment: Callable[..., Experiment], corpus: Corpus
) -> None:
    for variant in VARIANTS.values():
        assert "lexicon" in variant.unread("image")
        assert "lexicon" not in variant.unread("text")
        config = replace(variant.hand_tuned, lexicon=True)
        assert variant.views(config, "image") == ()
        assert variant.views(config, "text") == ("lexicon",)
    experiment = make_experiment(
        corpus=corpus.reading("image"), modality="image", backbones={"image": "tiny"}
    )
    assert trainer_of(experiment, lexicon=True).classifier.views is None
