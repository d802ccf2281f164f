"""One file of cached activations: written row by row, committed by its header, verified on read.

The values are a safetensors file. The JSON header beside it holds the key, size and checksum and
is written last, so a file without a matching header is incomplete and never read.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import asdict
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open

from trainables.activations.catalogue import checksum, data_path, header_path
from trainables.activations.ownership import MADE_BY
from trainables.activations.raw import gather_ragged
from trainables.modules.blocks.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from trainables.activations.key import ActivationKey

_CODES = {"float16": "F16", "float32": "F32", "int64": "I64"}


class ActivationError(RuntimeError):
    """Activations cannot be built or read; the message states the cause and a remedy."""


class ActivationWriter:
    """Write one file of activations. It becomes visible on `commit`; `discard` removes it.

    Args:
        lengths: Tokens of each sample, shape (N,), int64, for rows of shape (L, ...); None if all
            rows have the same shape.
        samples: Number of rows, N.
        row_shape: Shape of one row, or of one token if `lengths` is given.
        source: Where the backbone's weights came from, for people who list the cache.

    Raises:
        ActivationError: If there is not enough disk space.
    """

    def __init__(
        self,
        folder: Path,
        key: ActivationKey,
        lengths: Tensor | None,
        samples: int,
        row_shape: Sequence[int],
        source: str = "",
    ) -> None:
        self._folder, self._key, self._samples, self._source = folder, key, samples, source
        self._path = data_path(folder, key.digest).with_suffix(f".{os.getpid()}.partial")
        rows = samples if lengths is None else int(lengths.sum())
        shape = (rows, *row_shape)
        count = samples if lengths is not None else 0
        layout = _layout({"values": (key.dtype, shape), "lengths": ("int64", (count,))})
        self._size = len(layout) + prod(shape) * np.dtype(key.dtype).itemsize + 8 * count
        _reserve(self._path, self._size)
        with self._path.open("r+b") as file:
            file.write(layout)
        offset = len(layout)
        self._values = np.memmap(self._path, key.dtype, "r+", offset, shape)
        self._offsets = None
        if lengths is not None:
            end = offset + self._values.nbytes
            np.memmap(self._path, np.int64, "r+", end, (count,))[:] = lengths.numpy()
            self._offsets = (lengths.cumsum(0) - lengths).numpy()

    def write(self, rows: Tensor, activations: Activations) -> None:
        """Store the activations of some rows (B,), int64, without padding.

        Raises:
            ActivationError: If a value overflows the stored dtype or is not finite.
        """
        with np.errstate(over="ignore"):  # reported below, with a remedy
            values = activations.values.cpu().numpy().astype(self._values.dtype)
        if not np.isfinite(values).all():
            msg = f"activations must be finite in {self._values.dtype}; use --cache-dtype float32"
            raise ActivationError(msg)
        if self._offsets is None:
            self._values[rows.numpy()] = values
            return
        mask = activations.mask
        lengths = [values.shape[1]] * len(rows) if mask is None else mask.sum(dim=1).tolist()
        for row, value, length in zip(rows.tolist(), values, lengths, strict=True):
            start = self._offsets[row]
            self._values[start : start + length] = value[:length]

    def commit(self) -> None:
        """Make the file visible, with the checksum that readers verify."""
        self._values.flush()
        del self._values
        digest = self._key.digest
        header = {
            "key": asdict(self._key),
            "source": self._source,
            "samples": self._samples,
            "size": self._size,
            "checksum": checksum(self._path),
        }
        self._path.replace(data_path(self._folder, digest))
        partial = header_path(self._folder, digest).with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(header, indent=1))
        partial.replace(header_path(self._folder, digest))

    def discard(self) -> None:
        """Remove the file if it was not committed."""
        self._path.unlink(missing_ok=True)


class StoredActivations:
    """Memory-mapped activations of all samples: one copy in memory for all processes of a machine.

    The tensors are inference tensors: torch refuses to modify them in place outside inference
    mode, so a trial cannot corrupt the activations of the next.

    Args:
        values: All rows, shape (N, ...), or all tokens, shape (T, ...).
        lengths: Tokens of each sample, shape (N,), int64; None if all rows have the same shape.
    """

    def __init__(self, values: Tensor, lengths: Tensor | None) -> None:
        self._values = values
        self._lengths = lengths
        self._offsets = None if lengths is None else lengths.cumsum(0) - lengths

    @classmethod
    def open(cls, folder: Path, digest: str) -> StoredActivations:
        """Map a file that `fault` has verified."""
        with torch.inference_mode(), safe_open(data_path(folder, digest), "pt") as file:
            lengths = file.get_tensor("lengths")
            return cls(file.get_tensor("values"), lengths if len(lengths) else None)

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes."""
        return self._values.nbytes

    def to(self, device: torch.device) -> StoredActivations:
        """Return a copy on a device."""
        with torch.inference_mode():
            lengths = None if self._lengths is None else self._lengths.to(device)
            return StoredActivations(self._values.to(device), lengths)

    def gather(self, rows: Tensor) -> Activations:
        """Fetch samples by index (B,), int64: a copy in float32, padded to the longest of them."""
        rows = rows.to(self._values.device)
        if self._lengths is None or self._offsets is None:
            return Activations(self._values[rows].float())
        values, mask = gather_ragged(self._values, self._offsets, self._lengths, rows)
        return Activations(values.float(), mask)


def _layout(tensors: dict[str, tuple[str, Sequence[int]]]) -> bytes:
    """Return a safetensors header for tensors whose data follows in this order."""
    header: dict[str, Any] = {"__metadata__": {"made_by": MADE_BY}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _CODES[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # mapped values must be aligned
    return len(text).to_bytes(8, "little") + text


def _reserve(path: Path, size: int) -> None:
    """Allocate the space up front: a memory map on a full disk would kill the process."""
    free = shutil.disk_usage(path.parent).free
    needs = f"activations need {size / 1e6:,.0f} MB in {path.parent}, {free / 1e6:,.0f} are free"
    remedy = "free some (python -m search.cache --prune), give --cache DIR, or use --no-cache"
    if size > free:
        msg = f"{needs}; {remedy}"
        raise ActivationError(msg)
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        cause = needs if error.errno == errno.ENOSPC else str(error)
        msg = f"{cause}; {remedy}"
        raise ActivationError(msg) from error
