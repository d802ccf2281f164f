"""Files of activations: reserved before any work, verified before any use, safe from writes."""

from __future__ import annotations

import errno
import os
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.activations.catalogue import checksum, data_path, fault, header_path
from trainables.activations.files import ActivationError, ActivationWriter, StoredActivations
from trainables.activations.key import ActivationKey
from trainables.modules.blocks.activations import Activations

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

LENGTHS = torch.tensor([2, 1, 3])
REMEDY = "free some (python -m search.cache --prune), give --cache DIR, or use --no-cache"


def key_of(dtype: str = "float32") -> ActivationKey:
    return ActivationKey("text", "w", "place", {}, "s", dtype, {})


def write_ragged(folder: Path, values: Tensor, dtype: str = "float32") -> ActivationKey:
    """Store three rows of 2, 1 and 3 tokens, last row first."""
    key = key_of(dtype)
    writer = ActivationWriter(folder, key, LENGTHS, 3, values.shape[2:])
    mask = torch.arange(3) < LENGTHS[:, None]
    for rows in (torch.tensor([2]), torch.tensor([1, 0])):
        writer.write(rows, Activations(values[rows], mask[rows]))
    writer.commit()
    writer.discard()
    return key


def values_of() -> Tensor:
    return torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(6))


def test_ragged_rows_come_back_with_their_real_lengths(tmp_path: Path) -> None:
    values = values_of()
    key = write_ragged(tmp_path, values)
    stored = StoredActivations.open(tmp_path, key.digest)
    got, mask, _ = stored.gather(torch.tensor([1, 0]))
    assert mask is not None
    assert mask.tolist() == [[True, False], [True, True]]
    assert torch.equal(got[0, :1], values[1, :1])
    assert torch.equal(got[1], values[0, :2])
    assert stored.nbytes == 6 * 4 * 4


def test_rows_of_one_shape_come_back_in_float32(tmp_path: Path) -> None:
    key, values = key_of("float16"), torch.randn(4, 2, 5)
    writer = ActivationWriter(tmp_path, key, None, 4, (2, 5))
    writer.write(torch.arange(4), Activations(values))
    writer.commit()
    got, mask, _ = StoredActivations.open(tmp_path, key.digest).gather(torch.tensor([3, 1]))
    assert mask is None
    assert got.dtype == torch.float32
    assert torch.equal(got, values[[3, 1]].half().float())


def test_nothing_but_data_and_header_is_left(tmp_path: Path) -> None:
    key = write_ragged(tmp_path, values_of())
    names = {data_path(tmp_path, key.digest), header_path(tmp_path, key.digest)}
    assert set(tmp_path.iterdir()) == names
    assert fault(tmp_path, key.digest) is None


def test_a_writer_that_is_discarded_leaves_no_file(tmp_path: Path) -> None:
    ActivationWriter(tmp_path, key_of(), None, 4, (2,)).discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [1e5, torch.inf, torch.nan])
def test_a_value_beyond_float16_names_the_remedy(tmp_path: Path, value: float) -> None:
    values = values_of()
    values[1, 0, 2] = value
    message = r"^activations must be finite in float16; use --cache-dtype float32$"
    with pytest.raises(ActivationError, match=message):
        write_ragged(tmp_path, values, "float16")


def test_a_value_beyond_float16_fits_float32(tmp_path: Path) -> None:
    key = write_ragged(tmp_path, values_of() + 1e5)
    assert fault(tmp_path, key.digest) is None


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    key = write_ragged(tmp_path, values_of())
    path = data_path(tmp_path, key.digest)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert "is damaged: its checksum differs" in str(fault(tmp_path, key.digest))
    path.write_bytes(whole)
    assert fault(tmp_path, key.digest) is None


@pytest.mark.parametrize("size", [0, 8, 100, -1])
def test_a_file_of_another_size_is_named_with_both_sizes(tmp_path: Path, size: int) -> None:
    key = write_ragged(tmp_path, values_of())
    path = data_path(tmp_path, key.digest)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    expected = f"{path.name} must have {len(whole)} bytes, got {len(whole[:size])}"
    assert fault(tmp_path, key.digest) == expected


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"size": 1}', '"x"'])
def test_a_damaged_header_is_named(tmp_path: Path, content: str) -> None:
    key = write_ragged(tmp_path, values_of())
    path = header_path(tmp_path, key.digest)
    path.write_text(content)
    assert fault(tmp_path, key.digest) in {
        f"{path.name} is damaged",
        f"{key.digest}.safetensors must have 1 bytes, "
        f"got {data_path(tmp_path, key.digest).stat().st_size}",
    }


@pytest.mark.parametrize("gone", [data_path, header_path])
def test_half_a_file_is_missing(tmp_path: Path, gone: Any) -> None:
    key = write_ragged(tmp_path, values_of())
    gone(tmp_path, key.digest).unlink()
    assert fault(tmp_path, key.digest) == "missing"


def test_the_checksum_is_that_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"123456789")
    assert checksum(tmp_path / "x") == 0xCBF43926


def test_too_little_room_is_an_error_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    with pytest.raises(ActivationError) as error:
        ActivationWriter(tmp_path, key_of(), None, 1000, (1000,))
    assert str(error.value) == (f"activations need 4 MB in {tmp_path}, 3 are free; {REMEDY}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "cause"),
    [(errno.ENOSPC, "activations need 0 MB in"), (errno.EDQUOT, "Disk quota exceeded")],
)
def test_a_disk_that_fills_while_room_is_claimed_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, cause: str
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(ActivationError) as error:
        ActivationWriter(tmp_path, key_of(), None, 4, (2,))
    assert cause in str(error.value)
    assert str(error.value).endswith(REMEDY)
    assert list(tmp_path.iterdir()) == []


def test_a_write_to_what_was_gathered_leaves_the_store_alone(tmp_path: Path) -> None:
    key = write_ragged(tmp_path, values_of())
    stored = StoredActivations.open(tmp_path, key.digest)
    first = stored.gather(torch.tensor([2])).values
    kept = first.clone()
    first.zero_()
    assert torch.equal(stored.gather(torch.tensor([2])).values, kept)
    assert fault(tmp_path, key.digest) is None


def test_a_write_to_the_mapped_values_is_refused(tmp_path: Path) -> None:
    key = write_ragged(tmp_path, values_of())
    stored = StoredActivations.open(tmp_path, key.digest)
    for held in (stored, stored.to(torch.device("cpu"))):
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            held._values.zero_()
    assert fault(tmp_path, key.digest) is None


def test_a_gradient_flows_through_what_was_gathered(tmp_path: Path) -> None:
    key = write_ragged(tmp_path, values_of())
    values = StoredActivations.open(tmp_path, key.digest).gather(torch.tensor([0])).values
    weight = torch.ones(4, requires_grad=True)
    (values @ weight).sum().backward()
    torch.testing.assert_close(weight.grad, values.sum(dim=(0, 1)))
