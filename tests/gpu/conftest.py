"""What only a GPU can show. `pytest -m gpu` runs it on one CUDA device, without a network or Ray.

`TEST_DEVICE=cpu pytest -m gpu` runs what makes sense on the CPU too, to try the tests themselves.
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import NARROW, TINY_BACKBONES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from trainables.training.lockstep import EpochScores
    from trainables.worker import Workbench

VARIANTS = TINY_BACKBONES
"""Where the weights of each come from."""

PARAMS: dict[str, Any] = {
    "batch_size": 8,
    "hidden_width": 16,
    "head_dropout": 0.0,
    "text_unfrozen_layers": 1,
    "image_unfrozen_layers": 1,
    "schedule": "cosine",
}


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The device under test, its memory as it was before."""
    name = os.environ.get("TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    yield torch.device(name)
    if name == "cuda":
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


@pytest.fixture
def cuda(device: torch.device) -> torch.device:
    """The same, for what the CPU cannot stand in for."""
    if device.type != "cuda":
        pytest.skip("needs a GPU")
    torch.cuda.reset_peak_memory_stats()
    return device


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training in float32, as on the CPU, so that differences are those of rounding alone."""
    monkeypatch.setattr("trainables.worker.precision_of", lambda _: "float32")


def without_dropout(model: nn.Module) -> None:
    """Switch dropout off: devices draw masks of their own from the same seed."""
    for module in model.modules():
        for name in {"p", "attention_dropout"} & vars(module).keys():
            setattr(module, name, 0.0)


def known(bench: Workbench, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give the hyperparameters that the variant has."""
    names = {field.name for field in fields(bench.variant.config)}
    return {name: value for name, value in params.items() if name in names}


def epochs(
    bench: Workbench, count: int, accumulation_steps: int = 1, **params: Any
) -> tuple[list[EpochScores], list[Tensor]]:
    """Train some epochs of a trial; gives what each came to, and the weights on the CPU."""
    config = bench.config(known(bench, NARROW | PARAMS | params))
    run = bench.start(config, accumulation_steps=accumulation_steps)
    history = [run.next_epoch() for _ in range(count)]
    states = [trainer.classifier.state_dict() for trainer in run.trainers]
    return history, [value.cpu() for state in states for value in state.values()]
