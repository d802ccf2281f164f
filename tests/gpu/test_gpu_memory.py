"""Memory of a GPU: caps hold, and a step that does not fit is halved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.gpu.conftest import epochs
from trainables.activations.files import StoredActivations
from trainables.activations.residence import _left_to_take, placed
from trainables.modules.blocks.precision import precision_of
from trainables.modules.heads.classifier import Classifier
from trainables.training.memory import accumulate_on_oom, peak_memory_mb
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from trainables.experiment import Experiment

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_a_trial_stays_under_its_share(
    make_experiment: Callable[..., Experiment], cuda: torch.device, share: float
) -> None:
    cap = share * torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    epochs(Workbench(make_experiment(), cuda), 1)
    assert 0 < torch.cuda.max_memory_reserved() <= cap
    assert 0 < peak_memory_mb(cuda) <= cap / 1e6


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_no_more_is_left_to_take_than_the_share(cuda: torch.device, share: float) -> None:
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    before = _left_to_take(cuda)
    assert before <= share * total
    held = torch.empty(2**28, dtype=torch.uint8, device=cuda)
    assert before - _left_to_take(cuda) == pytest.approx(held.nbytes, rel=0.1)


def test_activations_that_do_not_fit_beside_the_rest_stay_on_the_host(cuda: torch.device) -> None:
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2**30 / total))
    stored = StoredActivations(torch.zeros(2**27, dtype=torch.float16), None)  # a quarter
    assert placed(stored, cuda, "auto") is not stored
    held = torch.empty(9 * 2**26, dtype=torch.uint8, device=cuda)
    assert placed(stored, cuda, "auto") is stored
    assert held.is_cuda


def test_a_trial_whose_step_does_not_fit_goes_on_in_parts(
    make_experiment: Callable[..., Experiment],
    cuda: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = Classifier.branches

    def heavy(classifier: Classifier, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = forward(classifier, batch)
        (rows,) = {len(value) for value in logits.values()}
        # 160 MB for each row that trains: eight do not fit a GB, four do.
        size = rows * 160_000_000 * classifier.training
        assert torch.empty(size, dtype=torch.uint8, device=cuda).is_cuda
        return logits

    monkeypatch.setattr(Classifier, "branches", heavy)
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1e9 / total))
    bench = Workbench(make_experiment(), cuda)
    (history, _), parts = accumulate_on_oom(
        lambda steps: epochs(bench, 2, accumulation_steps=steps)
    )
    assert parts == 2
    assert len(history) == 2
    assert torch.cuda.max_memory_reserved() <= 1e9


def test_a_gpu_trains_in_bfloat16_where_it_has_that_natively(cuda: torch.device) -> None:
    native = torch.version.hip or torch.cuda.get_device_capability(cuda) >= (8, 0)
    assert precision_of(cuda) == ("bfloat16" if native else "float16")


def test_a_step_that_does_not_fit_is_computed_in_parts(cuda: torch.device) -> None:
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2**30 / total))

    def step(parts: int) -> int:
        sizes = [torch.empty(int(1.5 * 2**30) // parts, dtype=torch.uint8, device=cuda).numel()]
        return sizes[0] * parts

    done, parts = accumulate_on_oom(step)
    assert parts == 2
    assert done == int(1.5 * 2**30)


def test_what_does_not_fit_in_parts_either_is_an_error_that_leaves_the_device_usable(
    cuda: torch.device,
) -> None:
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2**30 / total))
    with pytest.raises(torch.OutOfMemoryError):
        accumulate_on_oom(lambda _: torch.empty(2**32, dtype=torch.uint8, device=cuda))
    assert torch.ones(8, device=cuda).sum().item() == 8
