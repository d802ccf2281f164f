"""A stream of random numbers of its own for each fold, so that side by side equals one by one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


class RandomStream:
    """The state of torch's global generators while one fold is at work.

    Args:
        seed: Begins the stream.
        device: Whose generator is used besides the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(self._devices):
            torch.manual_seed(seed)
            self.state = self._read()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream within the block; the global generators are then as before.

        Yields:
            Nothing.
        """
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self.state[0])
            for device, state in zip(self._devices, self.state[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            self.state = self._read()

    def load(self, state: Sequence[Tensor]) -> None:
        """Go back to a saved state, also to one from another kind of device.

        Args:
            state: `state` as it was: the CPU's, then each device's. Where a device's lacks, all
                begin anew at a number that is drawn from the CPU's.
        """
        count = 1 + len(self._devices)
        if len(state) >= count:
            self.state = list(state[:count])
            return
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(state[0])
            torch.manual_seed(int(torch.randint(2**62, ())))
            self.state = self._read()

    def _read(self) -> list[Tensor]:
        on_devices = [torch.cuda.get_rng_state(device) for device in self._devices]
        return [torch.get_rng_state(), *on_devices]
