"""The small models that are exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trainables.inference.export.models import MODELS, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@pytest.fixture(scope="session")
def model_of(
    weights: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Give the folder of a model of `MODELS`, which is written once."""
    written: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in written:
            written[name] = write(MODELS[name], weights, tmp_path_factory.mktemp("exported"))
        return written[name]

    return give
