"""Memory of a GPU: caps hold, and a step that does not fit is halved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.gpu.conftest import epochs
from trainables.activations.residence import _left_to_take
from trainables.training.memory import accumulate_on_oom, peak_memory_mb
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

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
