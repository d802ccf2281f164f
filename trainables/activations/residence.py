"""Where activations are kept while a trial reads them: in host memory or on the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.activations.files import ActivationError

if TYPE_CHECKING:
    from trainables.activations.files import StoredActivations
    from trainables.config import Residence

# Activations move to the GPU if they take at most this fraction of the memory left for them.
_SHARE = 0.5


def placed(
    stored: StoredActivations, device: torch.device, residence: Residence
) -> StoredActivations:
    """Move activations to the device of a trial, if they are to be kept there.

    Args:
        stored: The activations, in host memory.
        device: Where the trial trains.
        residence: `host` keeps them, `device` moves them, `auto` moves them if they fit.

    Returns:
        The activations, on the device or the host.

    Raises:
        ActivationError: If they must be moved and do not fit.
        OutOfMemoryError: If they must be moved and another process took the memory meanwhile.
    """
    if residence == "host" or not is_apart(device):
        return stored
    left = _left_to_take(device)
    if stored.nbytes <= _SHARE * left:
        try:
            return stored.to(device)
        except torch.OutOfMemoryError:  # another process took the memory meanwhile
            if residence == "device":
                raise
    elif residence == "device":
        msg = (
            f"activations of {stored.nbytes / 1e9:.1f} GB must fit in half of the "
            f"{left / 1e9:.1f} GB that the trial may take of the GPU; use --resident host or auto"
        )
        raise ActivationError(msg)
    return stored


def _left_to_take(device: torch.device) -> int:
    if device.index is None:  # some of these functions take no device without an index
        device = torch.device(device.type, torch.cuda.current_device())
    free, total = torch.cuda.mem_get_info(device)
    return left_to_take(
        free,
        round(total * torch.cuda.get_per_process_memory_fraction(device)),
        torch.cuda.memory_reserved(device),
        torch.cuda.memory_allocated(device),
    )


def left_to_take(free: int, cap: int, reserved: int, allocated: int) -> int:
    """Compute how many more bytes of GPU memory this process may fill, >= 0.

    Args:
        free: Bytes that no process has allocated.
        cap: Bytes that this process may allocate, by its fraction of the GPU.
        reserved: Bytes that this process's caching allocator holds.
        allocated: Bytes of those that tensors occupy.

    Returns:
        The number of bytes.
    """
    return max(0, min(free + reserved, cap) - allocated)


def is_apart(device: torch.device) -> bool:
    """Return whether a device has memory separate from the host's."""
    return device.type != "cpu"
