"""A small model that was trained and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import folds_of, train_final
from trainables.config import InputSettings
from trainables.experiment import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.data.sample import Corpus

PARAMS = {
    "batch_size": 8,
    "projection_width": 16,
    "hidden_width": 16,
    "image_unfrozen_layers": 1,
    "neutral_threshold": 0.36,
}


@pytest.fixture(scope="session")
def saved_tiny(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    experiment = Experiment(
        variant="early_fusion",
        corpus=corpus,
        folds=folds_of(1),
        inputs=InputSettings(image_size=32),
        backbones={"text": "tiny", "image": "tiny"},
        metric="val_loss",
        max_epochs=1,
        seed=1,
        cache=None,
    )
    train_final(experiment, PARAMS, 1, folder / "model")
    return folder / "model"
