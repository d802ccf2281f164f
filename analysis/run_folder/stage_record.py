"""`stages.json`: which stages after the trials are done."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the check is made from the annotations
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A finished stage: all that its result depends on, and the result, both JSON-ready."""

    depends_on: Mapping[str, Any]
    result: Mapping[str, Any]
