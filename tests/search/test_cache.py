"""The cache command lists, checks and prunes what searches left."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from search.cache import main
from trainables.modules.cut import Cut
from trainables.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.experiment import Experiment


@pytest.fixture
def cache(make_experiment: Callable[..., Experiment]) -> Path:
    experiment = make_experiment()
    assert experiment.cache is not None
    bench = Workbench(experiment)
    for cut in (Cut(0, "mean"), Cut(1)):
        bench.source("text", cut)
    return experiment.cache


def test_files_are_listed_with_what_they_hold(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cache", str(cache)]) == 0
    out = capsys.readouterr().out
    assert "pooled by mean" in out
    assert "before the last 1" in out
    assert out.count("whole") == 2
    assert out.splitlines()[-1].startswith("2 files, ")


def test_damage_is_found_by_a_check_and_removed_by_pruning(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = min(cache.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (cache / "image-0.123.partial").write_bytes(b"0" * 10)
    assert main(["--cache", str(cache), "--check"]) == 1
    assert "damaged" in " ".join(capsys.readouterr().out.split())
    assert main(["--cache", str(cache), "--prune", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("removed 2 files")
    assert out.splitlines()[-1].startswith("1 files, ")
    assert not path.exists()


def test_only_what_was_not_used_of_late_is_pruned(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = min(cache.glob("*.json"))
    for path in cache.glob(f"{old.stem}.*"):
        os.utime(path, (time.time() - 3 * 86_400,) * 2)
    assert main(["--cache", str(cache), "--prune", "2"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 files")
    assert not old.exists()
    assert main(["--cache", str(cache), "--prune", "0"]) == 0
    assert not list(cache.glob("*.safetensors"))


def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cache", str(tmp_path / "no")]) == 2
    assert main(["--cache", str(tmp_path), "--prune", "-1"]) == 2
    err = capsys.readouterr().err
    assert "--cache must be a folder" in err
    assert "--prune must be >= 0 days, got -1" in err
