"""Trials on a GPU that is not there: nothing is mixed with what lies on the host."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.conftest import NARROW, TINY_BACKBONES
from tests.trainables.pretend_gpu import GPU, HOST, OnGpu, PretendGpu, install
from trainables.worker import Workbench, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment

PARAMS: dict[str, Any] = {
    "text_unfrozen_layers": 1,
    "lexicon": True,
    "schedule": "plateau",
    "fusion": "weighted",
}


def epoch(bench: Workbench) -> Any:
    names = {field.name for field in fields(bench.variant.config)}
    asked = NARROW | PARAMS | {"fusion": {"blip": "cross"}.get(bench.variant.name, "add")}
    if bench.variant.name.endswith("_fusion"):
        del asked["fusion"]
    run = bench.start(bench.config({k: v for k, v in asked.items() if k in names}))
    scores = run.next_epoch()
    (trainer,) = run.trainers
    return scores.probabilities, trainer.predict(torch.arange(30, 36)).numpy(), trainer


@pytest.mark.slow
@pytest.mark.parametrize("resident", ["device", "host", "nowhere"])
@pytest.mark.parametrize("variant", TINY_BACKBONES)
def test_an_epoch_on_a_gpu_is_that_on_the_cpu_and_mixes_nothing(
    make_experiment: Callable[..., Experiment],
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    resident: str,
) -> None:
    settings: dict[str, Any] = {"variant": variant, "backbones": TINY_BACKBONES[variant]}
    settings |= {"cache": None} if resident == "nowhere" else {"resident": resident}
    experiment = make_experiment(**settings)
    *expected, _ = epoch(Workbench(experiment, HOST))
    install(monkeypatch)
    with PretendGpu():
        *found, trainer = epoch(Workbench(experiment, GPU))
    assert {type(p) for p in trainer.classifier.parameters()} == {OnGpu}
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_tensors_of_two_devices_cannot_be_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with PretendGpu():
        there, here = torch.ones(3, device=GPU), torch.ones(3)
        assert (there + 1).device == GPU
        assert there[torch.tensor([0])].cpu().tolist() == [1]
        for mix in (lambda: there + here, lambda: here[there.long()]):
            with pytest.raises(RuntimeError, match="one device"):
                mix()
        with pytest.raises(TypeError, match="copied to the host"):
            there.numpy()


@pytest.mark.parametrize("variant", TINY_BACKBONES)
def test_a_description_looks_at_no_gpu(
    make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    # Its process may be given a GPU afterwards, and CUDA sees the ones that were visible at first.
    for name in ("is_available", "device_count", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: pytest.fail("it looked"))
    described = describe(make_experiment(variant=variant, backbones=TINY_BACKBONES[variant]))
    assert described["parameters"]["total"] > 0
