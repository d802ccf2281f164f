"""Reading and writing weights: system errors as `OSError`, non-finite values by name."""

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
    """Return the name of the first tensor that contains NaN or infinity; None if none does."""
    for name, tensor in state.items():
        # The sum needs no mask as large as the weights; if it overflows, check each value.
        if (
            tensor.is_floating_point()
            and not tensor.is_meta  # has no values, when parameters are only counted
            and not tensor.sum().isfinite()
            and not tensor.isfinite().all()
        ):
            return name
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write weights in this context, with the system's errors raised as `OSError`.

    safetensors wraps them in its own error type, and torch raises one about file positions while
    handling them.

    Yields:
        None.

    Raises:
        OSError: If the system refused to write.
        SafetensorError: Any other error of safetensors.
        RuntimeError: Any other error of torch.
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
