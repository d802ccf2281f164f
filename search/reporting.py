"""The last stage of a search: its report, which may fail without costing anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.results import RunFolder


def write_report(folder: RunFolder) -> str:
    """Write the report of a search.

    Args:
        folder: The run folder.

    Returns:
        Why there is none; empty when there is one.
    """
    try:
        from analysis.report import write_report as write  # noqa: PLC0415 - slow to import

        write(folder.path)
    except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, the run is worth more
        return f"no report: {type(error).__name__}: {error}; python -m analysis.report tries again"
    return ""
