"""Trials driven as Ray drives them, but without a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import NARROW
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import scores_of
from trainables.trainable import SentimentTrainable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.experiment import Experiment

PARAMS = NARROW | {"patience": 9, "text_unfrozen_layers": 1}
OTHER = PARAMS | {"head_learning_rate": 0.1, "text_unfrozen_layers": 2, "head_dropout": 0.0}
_METRICS = [f"val_{name}" for name in scores_of(SENTIMENTS)]
SCORED = {*_METRICS, *(f"{name}_std" for name in _METRICS), "train_loss"}
ALWAYS = {"epoch", "diverged", "done", "total_parameters", "trainable_parameters"}


@pytest.fixture
def start(
    make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SentimentTrainable]:
    """Start trials outside Ray's workers, where the only thing missing is the share of CPUs."""
    monkeypatch.setattr("trainables.trainable.use_assigned_share", lambda: torch.device("cpu"))

    def make(params: Mapping[str, Any], **changes: Any) -> SentimentTrainable:
        experiment = make_experiment(**changes)

        class Alone(SentimentTrainable):
            def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override] # with_parameters does this
                super().setup(config, experiment)

        return Alone(dict(params))

    return make


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of the trial itself, not of time and machine."""
    named = SCORED | ALWAYS | {"head_learning_rate", "backbone_learning_rate"}
    return {name: report[name] for name in sorted(named)}


def steps(trial: SentimentTrainable, count: int) -> list[dict[str, Any]]:
    return [comparable(trial.step()) for _ in range(count)]
