"""Where activations lie while a trial reads them: on the host, or at once where it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.activations.files import ActivationError

if TYPE_CHECKING:
    from trainables.activations.files import StoredActivations
    from trainables.config import Residence

# They move to the GPU when they leave this share of what the process may take to the models.
_SHARE = 0.5


def placed(
    stored: StoredActivations, device: torch.device, residence: Residence
) -> StoredActivations:
    """Move activations to where a trial trains, if they are to lie there.

    Args:
        stored: The activations, on the host.
        device: Where the trial trains.
        residence: `host` leaves them; `device` moves them; `auto` moves them where they fit.

    Returns:
        The activations, there or on the host.

    Raises:
        ActivationError: If they must be moved and do not fit.
        OutOfMemoryError: If they must be moved, and others of the GPU took what they need.
    """
    if residence == "host" or not is_apart(device):
        return stored
    left = _left_to_take(device)
    if stored.nbytes <= _SHARE * left:
        try:
            return stored.to(device)
        except torch.OutOfMemoryError:  # others of the GPU were faster
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
    free, total = torch.cuda.mem_get_info(device)
    return left_to_take(
        free,
        round(total * torch.cuda.get_per_process_memory_fraction(device)),
        torch.cuda.memory_reserved(device),
        torch.cuda.memory_allocated(device),
    )


def left_to_take(free: int, cap: int, reserved: int, allocated: int) -> int:
    """Work out how much more of a GPU's memory this process may fill.

    Args:
        free: Bytes that no process holds.
        cap: Bytes that this process may hold, by its share of the GPU.
        reserved: Bytes that it holds.
        allocated: Bytes of those that are in use; the others can be used again.

    Returns:
        Bytes, >= 0.
    """
    return max(0, min(free + reserved, cap) - allocated)


def is_apart(device: torch.device) -> bool:
    """Say whether a device has memory of its own.

    Args:
        device: Where a trial trains.

    Returns:
        Whether what lies on the host must be moved there.
    """
    return device.type != "cpu"
