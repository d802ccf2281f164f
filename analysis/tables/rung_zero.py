"""What logistic regressions came to before the first trial, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def columns_of(standing: pd.DataFrame) -> list[str]:
    """Name the hyperparameters that say what is read.

    Args:
        standing: The content of `rung_zero.csv`.

    Returns:
        Its columns `config/NAME`; where more than one value was compared, those alone.
    """
    names = [name for name in standing.columns if name.startswith("config/")]
    return [name for name in names if standing[name].nunique() > 1] or names


def behind(difference: float, error: float) -> str:
    """Spell how far behind the best a combination is.

    Args:
        difference: From the best, > 0 is worse.
        error: Its paired standard error.

    Returns:
        The difference and how many errors it is; empty for the best itself.
    """
    if not (difference or error):
        return ""
    errors = f"{abs(difference) / error:.1f} s.e." if error else "no spread"
    return f"{-difference:+.4f} ({errors})"
