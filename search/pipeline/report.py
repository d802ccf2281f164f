"""The last stage of a search: its report, which may fail without costing anything else.

The thumbnails for the report are made here, by the one function that opens images: the report
itself reads the run folder and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from analysis.run_folder.folder import RunFolder

_SIDE = 240  # pixels of the longer side
_QUALITY = 72


def import_ahead() -> None:
    """Import what the report needs, in the background: the search is about to wait for Ray."""

    def load() -> None:
        with suppress(Exception):  # whatever it is, `write_report` tells it
            import_module("analysis.report")

    Thread(target=load, daemon=True).start()


def write_report(folder: RunFolder) -> str:
    """Write the report of a search; return why it could not be, or an empty string."""
    try:
        from analysis.report import write_report as write  # noqa: PLC0415 - slow to import
        from analysis.run_folder.run import load  # noqa: PLC0415 - likewise

        write_thumbnails(folder)
        write(load(folder.path, database=True))
    except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, the run is worth more
        return f"no report: {type(error).__name__}: {error}; python -m analysis.report tries again"
    return ""


def write_thumbnails(folder: RunFolder) -> None:
    """Write missing thumbnails for the report, but of images that are gone or damaged by now."""
    from analysis.report.gallery import rows_shown  # noqa: PLC0415 - likewise
    from analysis.run_folder.explanations import read_explanations  # noqa: PLC0415 - slow to import
    from analysis.run_folder.run import load  # noqa: PLC0415 - likewise
    from trainables.data.images import ImageError, open_image  # noqa: PLC0415 - likewise

    run = load(folder.path)
    validated = None if run.best is None else run.validated(run.best.trial)
    if validated is None:
        return
    for row in rows_shown(validated, read_explanations(folder)):
        if not (path := folder.thumbnail(row)).exists():
            with suppress(ImageError):
                _save_small(open_image(Path(run.samples["image"].iloc[row])), path)


def _save_small(image: Image, path: Path) -> None:
    from analysis.run_folder.io import write_whole  # noqa: PLC0415 - as above

    image.thumbnail((_SIDE, _SIDE))
    write_whole(path, lambda partial: image.save(partial, "JPEG", quality=_QUALITY, optimize=True))
