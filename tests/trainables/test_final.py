"""The model that ships: trained on all labelled samples for the epochs asked, then saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trainables.data.sample import Fold
from trainables.final import train_final
from trainables.inference.predictor import Predictor
from trainables.training.decision import decide
from trainables.training.fold import FoldTrainer
from trainables.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.experiment import Experiment

PARAMS = {
    "batch_size": 8,
    "projection_width": 16,
    "hidden_width": 16,
    "image_unfrozen_layers": 1,
    "neutral_threshold": 0.37,
}


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_the_final_model_trained_on_every_labelled_sample(
    make_experiment: Callable[..., Experiment], tmp_path: Path, schedule: str
) -> None:
    experiment = make_experiment(max_epochs=4)
    params = PARAMS | {"schedule": schedule}
    result = train_final(experiment, params, 2, tmp_path / "model")
    bench = Workbench(experiment)
    rows = np.arange(30)
    config = bench.config(params)
    (trainer,) = bench.start(config, [Fold(rows, rows[:0])]).trainers
    for _ in range(2):
        loss = trainer.train_epoch()
        trainer.end_epoch(loss)
    saved = load_file(tmp_path / "model" / "classifier.safetensors")
    for name, value in trainer.classifier.state_dict().items():
        assert torch.equal(saved[name], value)
    assert result["train_loss"] == loss
    assert result["epochs"] == 2
    assert result["model_parameters"] == bench.count(trainer.classifier)["total"]


def test_the_schedule_watches_the_training_loss_as_nothing_is_left_to_validate_on(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(FoldTrainer, "end_epoch", lambda _, loss: seen.append(loss))
    result = train_final(make_experiment(), PARAMS, 2, tmp_path / "model")
    assert len(seen) == 2
    assert seen[1] == result["train_loss"] != seen[0]


def test_the_unlabelled_are_predicted_in_their_order(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    result = train_final(experiment, PARAMS, 1, tmp_path / "model")
    expected = Predictor(tmp_path / "model").probabilities(experiment.corpus.unlabelled)
    assert result["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert result["probabilities"].dtype == np.float32
    assert result["classes"].tolist() == decide(result["probabilities"], 0.37).tolist()


def test_the_same_seed_makes_the_same_model(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    for name in ("one", "other"):
        train_final(make_experiment(), PARAMS, 1, tmp_path / name)
    files = [
        (tmp_path / name / "classifier.safetensors").read_bytes() for name in ("one", "other")
    ]
    assert files[0] == files[1]


def test_a_corpus_without_unlabelled_samples_predicts_none(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    alone = replace(experiment, corpus=replace(experiment.corpus, unlabelled=()))
    result = train_final(alone, PARAMS, 1, tmp_path / "model")
    assert result["probabilities"].shape == (0, 3)
    assert result["classes"].shape == (0,)


def test_a_model_that_is_there_is_replaced_whole(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    for stale in ("model", "model.partial"):
        (tmp_path / stale).mkdir()
        (tmp_path / stale / "stale").touch()
    train_final(make_experiment(), PARAMS, 1, tmp_path / "model")
    assert not (tmp_path / "model" / "stale").exists()
    assert not (tmp_path / "model.partial").exists()
