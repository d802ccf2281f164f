"""Where activations lie; torch's `meta` device, shapes without values, stands for the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.activations.files import ActivationError, StoredActivations
from trainables.activations.residence import placed

if TYPE_CHECKING:
    from trainables.config import Residence

META = torch.device("meta")
VALUES = torch.arange(24.0).reshape(6, 4)
LENGTHS = torch.tensor([2, 1, 3])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_free(size: int) -> None:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (size, 2 * size))

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
    message = r"4\.0 GB must fit in half of the 6\.0 GB that are free on the GPU; use --resident"
    with pytest.raises(ActivationError, match=message):
        placed(big, META, "device")
