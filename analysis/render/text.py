"""How numbers and names are spelt for people; what is not known is an empty string."""

from __future__ import annotations

import pandas as pd

_HEADINGS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "f1_positive": "F1 pos",
    "f1_neutral": "F1 neu",
    "f1_negative": "F1 neg",
}


def heading(metric: str) -> str:
    """Name a score.

    Args:
        metric: Its name in tables, with or without `val_`.

    Returns:
        Its short name.
    """
    name = metric.removeprefix("val_")
    return _HEADINGS.get(name, name.replace("_", " "))


def score(value: float | None) -> str:
    """Spell a score.

    Args:
        value: The score.

    Returns:
        With four digits after the point.
    """
    return "" if pd.isna(value) else f"{value:.4f}"


def bounds(low: float | None, high: float | None) -> str:
    """Spell an interval.

    Args:
        low: Its lower end.
        high: Its upper end.

    Returns:
        Both, with three digits after the point.
    """
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.3f} to {high:.3f}"


def whole(count: float | None) -> str:
    """Spell a count.

    Args:
        count: How many.

    Returns:
        Without a fraction, thousands apart.
    """
    return "" if pd.isna(count) else f"{count:,.0f}"


def millions(count: int | None) -> str:
    """Spell a number of parameters.

    Args:
        count: How many.

    Returns:
        In millions.
    """
    return "" if pd.isna(count) else f"{count / 1e6:,.2f} M"


def duration(seconds: float | None) -> str:
    """Spell a time.

    Args:
        seconds: The time.

    Returns:
        In seconds, minutes or hours.
    """
    if pd.isna(seconds):
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def setting(value: object) -> str:
    """Spell the value of a hyperparameter.

    Args:
        value: A number, a word or a truth value.

    Returns:
        Numbers to three digits that count.
    """
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}"
    return str(value)


def share(part: float) -> str:
    """Spell a share.

    Args:
        part: In [0, 1].

    Returns:
        In percent; what is above none is never spelt as none.
    """
    return "under 1 %" if 0 < part < 0.005 else f"{100 * part:.0f} %"


def words(name: str) -> str:
    """Spell the name of a hyperparameter.

    Args:
        name: As in tables.

    Returns:
        In words.
    """
    return name.replace("_", " ")
