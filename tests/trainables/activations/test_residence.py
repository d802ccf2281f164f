"""Where activations lie; torch's `meta` device, shapes without values, stands for the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.activations.files import ActivationError, StoredActivations
from trainables.activations.residence import left_to_take, placed

if TYPE_CHECKING:
    from trainables.config import Residence

META = torch.device("meta")
VALUES = torch.arange(24.0).reshape(6, 4)
LENGTHS = torch.tensor([2, 1, 3])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_free(size: int, share: float = 1.0) -> None:
        def of(result: Any) -> Any:
            def ask(device: torch.device) -> Any:
                assert device.index == 0, "of the memory fraction, PyTorch asks for an index"
                return result

            return ask

        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "mem_get_info", of((size, 2 * size)))
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", of(share))
        monkeypatch.setattr(torch.cuda, "memory_reserved", of(0))
        monkeypatch.setattr(torch.cuda, "memory_allocated", of(0))

    return set_free


@pytest.mark.parametrize(
    ("residence", "size", "moved"),
    [
        ("device", 2 * 96, True),
        ("auto", 2 * 96, True),
        ("auto", 2 * 96 - 1, False),
        ("host", 10**9, False),
    ],
)
def test_activations_are_moved_where_they_fit_unless_the_host_is_asked_for(
    residence: Residence, size: int, moved: bool, free: Any
) -> None:
    free(size)
    stored = StoredActivations(VALUES, None)
    assert stored.nbytes == 96
    there = placed(stored, META, residence)
    assert (there is stored) is not moved
    batch = there.gather(torch.tensor([2, 0]))
    assert batch.values.device.type == ("meta" if moved else "cpu")
    assert batch.values.shape == (2, 4)


def test_a_trial_that_shares_a_gpu_fills_no_more_than_half_its_share(free: Any) -> None:
    stored = StoredActivations(VALUES, None)
    free(2 * 96, share=0.5)  # of 384 bytes
    assert placed(stored, META, "auto") is not stored
    free(2 * 96, share=0.49)
    assert placed(stored, META, "auto") is stored
    with pytest.raises(ActivationError, match="that the trial may take"):
        placed(stored, META, "device")


@pytest.mark.parametrize(
    ("free", "cap", "reserved", "allocated", "left"),
    [
        (24, 24, 0, 0, 24),  # alone on an empty GPU
        (10, 24, 0, 0, 10),  # others hold 14
        (20, 6, 0, 0, 6),  # a quarter of it is ours
        (20, 6, 4, 3, 3),  # of that, 3 are in use, and 1 is ours already
        (1, 6, 4, 1, 4),  # others left 1; of what we hold, 3 can be used again
        (0, 6, 6, 6, 0),
        (5, 6, 7, 7, 0),  # the cap came late
    ],
)
def test_what_is_left_to_take_by_hand(
    free: int, cap: int, reserved: int, allocated: int, left: int
) -> None:
    assert left_to_take(free, cap, reserved, allocated) == left


def test_activations_that_others_left_no_memory_for_stay_on_the_host(
    free: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        msg = "CUDA out of memory"
        raise torch.OutOfMemoryError(msg)

    free(10**6)
    monkeypatch.setattr(StoredActivations, "to", full)
    stored = StoredActivations(VALUES, None)
    assert placed(stored, META, "auto") is stored
    with pytest.raises(torch.OutOfMemoryError):
        placed(stored, META, "device")


def test_what_trains_on_the_host_reads_the_mapped_file() -> None:
    stored = StoredActivations(VALUES, LENGTHS)
    assert placed(stored, torch.device("cpu"), "device") is stored


def test_lengths_move_with_the_values() -> None:
    there = StoredActivations(VALUES, LENGTHS).to(META)
    parts = (there._values, there._lengths, there._offsets)
    assert [part is not None and part.device.type for part in parts] == ["meta"] * 3
    copy = StoredActivations(VALUES, LENGTHS).to(torch.device("cpu"))
    values, mask, _ = copy.gather(torch.tensor([0, 1]))
    assert mask is not None
    assert values[mask].tolist() == VALUES[:3].tolist()


def test_activations_too_large_to_be_resident_as_asked_are_refused(free: Any) -> None:
    free(6_000_000_000)
    big = StoredActivations(torch.empty(10**9, dtype=torch.float32, device=META), None)
    message = r"4\.0 GB must fit in half of the 6\.0 GB that the trial may take of the GPU"
    with pytest.raises(ActivationError, match=message):
        placed(big, META, "device")
