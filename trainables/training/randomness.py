"""An independent random state per fold, so that interleaving folds does not change results."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


class RandomStream:
    """The state of torch's global generators, the CPU's and the device's, for one fold."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(self._devices):
            torch.manual_seed(seed)
            self.state = self._read()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Use this state in the context; the global generators are restored afterwards."""
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self.state[0])
            for device, state in zip(self._devices, self.state[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            self.state = self._read()

    def load(self, state: Sequence[Tensor]) -> None:
        """Restore a saved state, which may be from another kind of device.

        Args:
            state: The saved `state`: the CPU's, then each device's. If a device's is missing, its
                generator is seeded with a number drawn from the CPU's, which stays as it was.
        """
        count = 1 + len(self._devices)
        if len(state) >= count:
            self.state = list(state[:count])
            return
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(state[0])
            torch.manual_seed(int(torch.randint(2**62, ())))
            self.state = [state[0], *self._read()[1:]]

    def _read(self) -> list[Tensor]:
        on_devices = [torch.cuda.get_rng_state(device) for device in self._devices]
        return [torch.get_rng_state(), *on_devices]
