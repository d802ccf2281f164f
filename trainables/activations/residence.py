"""Where activations lie while a trial reads them: on the host, or at once where it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainables.activations.files import ActivationError

if TYPE_CHECKING:
    from trainables.activations.files import StoredActivations
    from trainables.config import Residence

# They move to the GPU when they leave this share of its free memory to the models.
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
    """
    if residence == "host" or not is_apart(device):
        return stored
    free, _ = torch.cuda.mem_get_info(device)
    if stored.nbytes <= _SHARE * free:
        return stored.to(device)
    if residence == "device":
        msg = (
            f"activations of {stored.nbytes / 1e9:.1f} GB must fit in half of the "
            f"{free / 1e9:.1f} GB that are free on the GPU; use --resident host or auto"
        )
        raise ActivationError(msg)
    return stored


def is_apart(device: torch.device) -> bool:
    """Say whether a device has memory of its own.

    Args:
        device: Where a trial trains.

    Returns:
        Whether what lies on the host must be moved there.
    """
    return device.type != "cpu"
