"""Format numbers and names for people; unknown values become an empty string."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from trainables.evaluation.metrics import is_score, score_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def heading(metric: str) -> str:
    """Return what a metric is called, given with or without `val_`."""
    if is_score(metric):
        return score_of(metric).title
    return readable(metric.removeprefix("val_"))


def chosen_by_others(what: str, parts_chose: Sequence[object]) -> str:
    """Say that no part of the validation pairs chooses what it scores.

    Args:
        what: What is chosen: a config, or a model.
        parts_chose: What the others chose for each fold; of a single one its pairs are parted.

    Returns:
        A clause.
    """
    if len(parts_chose) > 1:
        return f"each fold is scored by the {what} that the other folds choose"
    return f"each fifth of the validation pairs is scored by the {what} that the others choose"


def in_how_many(name: object, label: str, parts_chose: Sequence[object]) -> str:
    """Say for how many folds one was chosen; empty where there is only one."""
    agreed, folds = list(parts_chose).count(name), len(parts_chose)
    return f": {label} in {agreed} of {folds}" if folds > 1 else ""


def format_score(value: float | None) -> str:
    """Format a score with four decimals."""
    return "" if pd.isna(value) else f"{value:.4f}"


def format_interval(low: float | None, high: float | None) -> str:
    """Format the ends of an interval with three decimals."""
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.3f} to {high:.3f}"


def format_count(count: float | None) -> str:
    """Format a count without decimals, with thousands separators."""
    return "" if pd.isna(count) else f"{count:,.0f}"


def format_millions(count: int | None) -> str:
    """Format a number of parameters in millions."""
    return "" if pd.isna(count) else f"{count / 1e6:,.2f} M"


def format_duration(seconds: float | None) -> str:
    """Format seconds in seconds, minutes or hours."""
    if pd.isna(seconds):
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def format_value(value: object) -> str:
    """Format the value of a hyperparameter, with three significant digits."""
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}"
    return str(value)


def format_percent(part: float) -> str:
    """Format a fraction in [0, 1] in percent; a positive one is never shown as 0 %."""
    return "under 1 %" if 0 < part < 0.005 else f"{100 * part:.0f} %"


def readable(name: str) -> str:
    """Replace the underscores in a hyperparameter's name with spaces."""
    return name.replace("_", " ")
