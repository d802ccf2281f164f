from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ray.tune.logger import TBXLoggerCallback

from analysis.run_folder.folder import RunFolder
from search.config import validation as faults
from search.config.settings import TrackingSettings, parse
from search.tune.callbacks import trackers

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def plan(folder: Path, settings: TrackingSettings) -> Any:
    return SimpleNamespace(settings=SimpleNamespace(tracking=settings), folder=RunFolder(folder))


def test_nothing_is_tracked_unless_it_is_asked_for(tmp_path: Path) -> None:
    asked = parse(["--model", "early_fusion"]).tracking
    assert asked == TrackingSettings()
    assert trackers(plan(tmp_path, asked)) == []


def test_tensorboard_is_written_through_rays_callback(tmp_path: Path) -> None:
    asked = parse(["--model", "early_fusion", "--tensorboard"]).tracking
    (found,) = trackers(plan(tmp_path, asked))
    assert isinstance(found, TBXLoggerCallback)


def test_a_tracker_that_is_not_installed_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.importlib.util, "find_spec", lambda _: None)
    asked = parse(["--model", "early_fusion", "--mlflow", "--wandb"])
    assert list(faults.faults_of(asked)) == [
        "--mlflow needs the package mlflow; pip install mlflow",
        "--wandb needs the package wandb; pip install wandb",
    ]
