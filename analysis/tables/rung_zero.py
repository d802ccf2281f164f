"""The results of logistic regressions before the first trial, formatted for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def columns_of(standing: pd.DataFrame) -> list[str]:
    """Return the columns `config/NAME` of rung zero that vary; all of them where none does."""
    names = [name for name in standing.columns if name.startswith("config/")]
    return [name for name in names if standing[name].nunique() > 1] or names


def behind(difference: float, error: float) -> str:
    """Format how far behind the best a combination is, in score and in paired standard errors."""
    if not (difference or error):
        return ""
    errors = f"{abs(difference) / error:.1f} s.e." if error else "no spread"
    return f"{-difference:+.4f} ({errors})"
