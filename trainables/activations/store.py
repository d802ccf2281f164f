"""The activation cache of a node: by key, built once under a lock, rebuilt if damaged."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from trainables.activations.catalogue import (
    data_path,
    fault,
    header_path,
    lock_path,
    mark_used,
)
from trainables.activations.files import ActivationError, ActivationWriter, StoredActivations
from trainables.activations.forward import forward
from trainables.activations.locks import locked
from trainables.activations.ownership import mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import torch

    from trainables.activations.key import ActivationKey
    from trainables.activations.raw import RawInputs
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Cut


class BuildProgress(NamedTuple):
    """Progress of building one role's activations.

    Attributes:
        done: Samples done.
        total: Samples in total.
        seconds: Since the build started.
        cached: Whether everything was cached already.
    """

    role: str
    done: int
    total: int
    seconds: float
    cached: bool


class ActivationStore:
    """The activation cache in a folder of one node; the folder is created if missing.

    Raises:
        ActivationError: If the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sound: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark(folder)
        except OSError as error:
            msg = f"cache {folder} cannot be made: {error}; give --cache DIR or use --no-cache"
            raise ActivationError(msg) from error

    def open(self, key: ActivationKey) -> StoredActivations:
        """Map the activations of a key that has been built, in host memory.

        Returns:
            The activations.

        Raises:
            ActivationError: If they are missing or damaged.
        """
        if cause := self._fault(key):
            msg = f"activations {key.digest} cannot be read: {cause}"
            raise ActivationError(msg)
        mark_used(self.folder, key.digest)
        return StoredActivations.open(self.folder, key.digest)

    def build(
        self, tower: Tower, raw: RawInputs, keys: Mapping[Cut, ActivationKey], device: torch.device
    ) -> Iterator[BuildProgress]:
        """Build the missing or damaged activations of one tower, in one pass for all cuts.

        Processes that build the same keys wait for the first; a crash leaves nothing that is read.

        Yields:
            Progress, at least once.

        Raises:
            ActivationError: If the cache cannot be written, or samples cannot be read.
        """
        total, began = len(raw), time.monotonic()
        missing = self.missing(keys)
        if missing:
            with self._locked(missing.values()):
                missing = self.missing(missing)  # another process may have built them meanwhile
                for done in self._write(tower, raw, missing, device):
                    elapsed = time.monotonic() - began
                    yield BuildProgress(tower.role, done, total, elapsed, cached=False)
        yield BuildProgress(tower.role, total, total, time.monotonic() - began, cached=not missing)

    def missing(self, keys: Mapping[Cut, ActivationKey]) -> dict[Cut, ActivationKey]:
        """Return the keys, by cut, whose activations are missing or damaged."""
        return {cut: key for cut, key in keys.items() if self._fault(key)}

    def _fault(self, key: ActivationKey) -> str | None:
        """Verify a file; this store computes the checksum of a valid file only once."""
        cause = fault(self.folder, key.digest, check=key.digest not in self._sound)
        if cause is None:
            self._sound.add(key.digest)
        return cause

    @contextmanager
    def _locked(self, keys: Iterable[ActivationKey]) -> Iterator[None]:
        """Hold the locks of several keys, in sorted order so that processes cannot deadlock."""
        with ExitStack() as stack:
            for digest in sorted(key.digest for key in keys):
                try:
                    stack.enter_context(locked(lock_path(self.folder, digest)))
                except OSError as error:
                    msg = (
                        f"cache {self.folder} lacks {digest} and cannot be written: {error}; "
                        "give --cache DIR or use --no-cache"
                    )
                    raise ActivationError(msg) from error
            yield

    def _write(
        self,
        tower: Tower,
        raw: RawInputs,
        keys: Mapping[Cut, ActivationKey],
        device: torch.device,
    ) -> Iterator[int]:
        """Run the tower over all samples and store each cut; yields the number of samples done."""
        writers: dict[Cut, ActivationWriter] = {}
        for key in keys.values():
            header_path(self.folder, key.digest).unlink(missing_ok=True)
            data_path(self.folder, key.digest).unlink(missing_ok=True)
            for left_by_a_crash in self.folder.glob(f"{key.digest}.*.partial"):
                left_by_a_crash.unlink()
        try:
            done = 0
            for rows, outputs in forward(tower, raw, sorted(keys, reverse=True), device):
                for cut, activations in outputs.items():
                    if cut not in writers:
                        writers[cut] = self._writer(keys[cut], raw, activations, tower.source)
                    writers[cut].write(rows, activations)
                done += len(rows)
                yield done
            for writer in writers.values():
                writer.commit()
        finally:
            for writer in writers.values():
                writer.discard()

    def _writer(
        self, key: ActivationKey, raw: RawInputs, activations: Activations, source: str
    ) -> ActivationWriter:
        lengths = raw.lengths if activations.mask is not None else None
        row_shape = activations.values.shape[1 if lengths is None else 2 :]
        return ActivationWriter(self.folder, key, lengths, len(raw), row_shape, source)
