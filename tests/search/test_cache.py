"""The cache command lists, checks and prunes what searches left."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from search.cache import main
from trainables.activations.locks import locked
from trainables.modules.blocks.cut import Cut
from trainables.worker import Workbench

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
    unfinished = cache / f"image-{'0' * 24}.123.partial"
    unfinished.write_bytes(content[: len(content) // 2])
    assert main(["--cache", str(cache), "--check"]) == 1
    assert "damaged" in " ".join(capsys.readouterr().out.split())
    assert main(["--cache", str(cache), "--prune", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("removed 2 files")
    assert out.splitlines()[-1].startswith("1 files, ")
    assert not path.exists()
    assert not unfinished.exists()


@pytest.mark.parametrize("days", ["0", "365"])
def test_other_peoples_files_in_a_cache_are_neither_listed_nor_removed(
    cache: Path, capsys: pytest.CaptureFixture[str], days: str
) -> None:
    name = f"text-{'0' * 24}"
    theirs = ("thesis-final.pdf", "a-b.xlsx", ".id-rsa.key", f"{name}.json", f"{name}.safetensors")
    for other in (*theirs, f"{name}.7.partial"):
        (cache / other).write_text('{"key": {"role": "text"}}')
    assert main(["--cache", str(cache), "--check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 files, ")
    assert main(["--cache", str(cache), "--prune", days]) == 0
    assert all((cache / other).exists() for other in (*theirs, f"{name}.7.partial"))


def test_a_folder_that_no_search_made_its_cache_is_refused(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in cache.iterdir()} - {"CACHEDIR.TAG"}
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert main(["--cache", str(cache), "--prune", "0"]) == 2
    assert "lacks their marker, CACHEDIR.TAG" in " ".join(capsys.readouterr().err.split())
    assert before < {path.name for path in cache.iterdir()}


def test_what_a_running_search_builds_is_left_to_it(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, other = sorted(cache.glob("*.json"))
    data = header.with_suffix(".safetensors")
    header.unlink()
    data.rename(data.with_suffix(".99.partial"))  # as in the middle of a build
    with locked(header.with_suffix(".lock")):
        assert main(["--cache", str(cache), "--prune", "0"]) == 0
        assert "being built" in " ".join(capsys.readouterr().out.split())
        assert data.with_suffix(".99.partial").exists()
        assert not other.exists()
    assert main(["--cache", str(cache), "--prune", "365"]) == 0
    assert {path.name for path in cache.iterdir()} == {"CACHEDIR.TAG"}


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
