"""A small model that was trained and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import NARROW, tiny_experiment, train_final
from trainables.config import InputSettings

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.data.sample import Corpus

PARAMS = NARROW | {"neutral_threshold": 0.36}


@pytest.fixture(scope="session")
def saved_tiny(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    inputs = InputSettings(image_size=32)
    experiment = tiny_experiment(
        corpus=corpus, inputs=inputs, metric="val_loss", max_epochs=1, seed=1
    )
    train_final(experiment, PARAMS, 1, folder / "model")
    return folder / "model"
