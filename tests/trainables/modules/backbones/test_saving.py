"""A disk that refuses is the system's error, with real refusals where they can be had."""

from __future__ import annotations

import errno
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from trainables.modules.backbones.saving import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS = {"weight": torch.zeros(50_000)}


@contextmanager
def small_files() -> Iterator[None]:
    """Files of 4 kB at most: as a full disk, the system refuses in the middle of a write.

    Not longer than the write, as the file that the tests' own output goes to is one more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_safetensors_refused_by_the_system_is_the_systems_error(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    refused = pytest.raises(OSError, match="File too large")
    with refused as error, small_files(), writing(path):
        save_file(WEIGHTS, path)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))


def test_torch_on_a_full_disk_is_the_systems_error() -> None:
    path = Path("/dev/full")
    full = pytest.raises(OSError, match="No space left")
    with full as error, writing(path), path.open("wb") as file:
        torch.save(WEIGHTS, file)
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "other", [SafetensorError("key not found"), RuntimeError("no"), OSError(5)]
)
def test_what_else_goes_wrong_stays_as_it_is(other: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(other)) as error, writing(tmp_path):
        raise other
    assert error.value is other
