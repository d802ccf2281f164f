from __future__ import annotations

from typing import TYPE_CHECKING

import analysis.report
from search.reporting import write_report
from tests.analysis.synthetic import write_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_search_ends_with_its_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    assert write_report(folder) == ""
    assert folder.report.exists()


def test_a_report_that_fails_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> Path:
        raise MemoryError(str(path.name))

    monkeypatch.setattr(analysis.report, "write_report", fail)
    folder = write_run(tmp_path / "run")
    assert write_report(folder) == (
        "no report: MemoryError: run; python -m analysis.report tries again"
    )
    assert folder.best.exists()
