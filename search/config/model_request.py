"""What the commands that take a model ask for: a run, or the model folder in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - tyro reads the annotations
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class ModelRequest:
    """A request to a trained model."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder of a search, or the model folder in it."""

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.run / "model" if (self.run / "model").is_dir() else self.run

    def faults(self) -> Iterator[str]:
        """Yield one sentence per fault of the request."""
        if not self.run.is_dir():
            yield f"RUN must be a run folder or its model folder: there is no folder {self.run}"
