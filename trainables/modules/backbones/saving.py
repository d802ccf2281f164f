"""Writing and reading weights: a full disk says so, and what is no number is named."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from safetensors import SafetensorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

_CODE = re.compile(r"os error (\d+)")


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Name a tensor that holds NaN or infinity.

    Args:
        state: Tensors by name.

    Returns:
        The first such tensor's name; None where all are finite.
    """
    for name, tensor in state.items():
        # One pass without a mask as large as the weights; a sum that overflows is looked at again.
        if (
            tensor.is_floating_point()
            and not tensor.is_meta  # without values, as where parameters are only counted
            and not tensor.sum().isfinite()
            and not tensor.isfinite().all()
        ):
            return name
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write weights in here; the system's errors come out as `OSError`.

    safetensors words them in an error of its own, and torch in one about positions in a file,
    raised while it handled the system's.

    Args:
        path: What is written.

    Yields:
        Once, for the body that writes.

    Raises:
        OSError: If the system refused to write.
        SafetensorError: If something else is wrong, as safetensors found it.
        RuntimeError: If something else is wrong, as torch found it.
    """
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        if found := _CODE.search(str(error)):
            code = int(found[1])
            raise OSError(code, os.strerror(code), str(path)) from error
        raise
