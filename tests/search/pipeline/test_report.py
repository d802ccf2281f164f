from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

import analysis.report
from search.pipeline.report import write_report
from tests.analysis.synthetic import write_run

if TYPE_CHECKING:
    import pytest

    from analysis.run_folder.run import Run


def test_a_search_ends_with_its_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    assert write_report(folder) == ""
    assert folder.report.exists()


def test_a_report_shows_images_that_the_search_made_small(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    samples = folder.read_samples()
    for image in samples["image"]:
        exif = Image.Exif()
        exif[0x0112] = 6  # lies on its side
        Image.new("RGB", (600, 300)).save(image, exif=exif)
    assert write_report(folder) == ""
    made = sorted(folder.path.glob("thumbnails/*"))
    assert 6 <= len(made) <= 24
    with Image.open(made[0]) as image:
        assert image.size == (120, 240)
    for path in samples["image"]:
        Path(path).unlink()
    assert write_report(folder) == ""  # its folder is all that a report needs
    assert folder.report.read_text().count('src="data:image/jpeg') == len(made)


def test_an_image_that_is_gone_or_no_image_by_now_has_no_small_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    for path in folder.read_samples()["image"].iloc[::2]:
        Path(path).write_text("%!PS-Adobe-3.0 EPSF-3.0")  # Pillow would have Ghostscript run it
    assert write_report(folder) == ""
    assert not list(folder.path.glob("thumbnails/*"))
    assert "no image here" in folder.report.read_text()


def test_a_report_that_fails_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run) -> Path:
        raise MemoryError(run.name)

    monkeypatch.setattr(analysis.report, "write_report", fail)
    folder = write_run(tmp_path / "run")
    assert write_report(folder) == (
        "no report: MemoryError: run; python -m analysis.report tries again"
    )
    assert folder.best.exists()
