"""What the settings of selection ask of a search, and when they make no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.settings import SearchSettings


def held(settings: SearchSettings) -> tuple[str, ...]:
    """Hold the neutral threshold where trials need not search it.

    Args:
        settings: What was asked.

    Returns:
        The words of `--fix`, with one more where another rule decides.
    """
    fix = settings.tuning.fix
    is_held = any(word.partition("=")[0].strip() == "neutral_threshold" for word in fix)
    searches = settings.selection.decision == "searched" or is_held
    return fix if searches else (*fix, "neutral_threshold=0")


def selection_faults(settings: SearchSettings, folds: int) -> Iterator[str]:
    """Say what is wrong with how the config is to be chosen.

    Args:
        settings: What was asked.
        folds: How many are trained side by side.

    Yields:
        One sentence per fault.
    """
    selection = settings.selection
    if selection.confirm is not None and selection.confirm < 0:
        yield f"--confirm must be >= 0, got {selection.confirm}"
    if selection.final in {"average", "ensemble"} and folds < 2:
        yield f"--final {selection.final} needs --folds >= 2, got {folds}"
