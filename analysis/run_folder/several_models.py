"""Folders of `--model all`: a search of each model inside, and one answer at the top."""

from __future__ import annotations

from pathlib import Path

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import ResultsError, read_json


def runs_of(path: Path) -> list[Path]:
    """Return the run folders that a path stands for.

    Args:
        path: The folder of one search, or of searches of several models.

    Returns:
        The folder itself, or those of the searches in it that have begun, in their order.

    Raises:
        ResultsError: If none has begun, or the list of the models is damaged.
    """
    models = RunFolder(path).all_models
    if not models.exists():
        return [path]
    listed = read_json(models, "").get("models")
    names = listed if isinstance(listed, dict) else {}
    inside = [path / name for name in names if Path(name).name == name]  # and nowhere else
    begun = [run for run in inside if RunFolder(run).search.exists()]
    if not begun:
        msg = f"{path} must hold the search of a model, got none that has begun"
        raise ResultsError(msg)
    return begun


def run_that_ships(path: Path) -> Path:
    """Return the run folder whose model is that of a path: itself, or the chosen one in it."""
    folder = RunFolder(path)
    return path / folder.read_best_model().model if folder.all_models.exists() else path
