"""Every file of a run folder damaged in every way: no traceback, and no other output unsaid.

The whole of it, with every command and a search that goes on, is `tests.benchmarks.damage`.
"""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.analysis.synthetic import write_run
from tests.benchmarks.damage import COMMANDS, WAYS, ask, files_of, verdict
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ASKED = ("compare", "load")
FINE = {"refused", "same", "said"}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("damage") / "run", trials=3)
    shown = folder.read_trial_probabilities(0).iloc[:2, 1:]
    folder.write_probabilities(["900", "901"], shown, SENTIMENTS)
    return folder.path


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_damage_is_told_or_changes_nothing(
    healthy: Path, tmp_path: Path, way: Callable[[Path, random.Random], None], name: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(healthy, copy)
    before = ask(COMMANDS[name], copy)
    assert before.code == 0
    found = {}
    for path in files_of(healthy):
        shutil.rmtree(copy)
        shutil.copytree(healthy, copy)
        way(copy / path, random.Random(str(path)))
        found[str(path)] = verdict(ask(COMMANDS[name], copy), before, path.name)
    assert set(found.values()) <= FINE, found
    assert found["search.json"] == "refused"
    assert found["trials.csv"] == "refused"
    assert found["best.json"] == "refused"


@pytest.mark.slow
def test_without_digests_damage_is_no_traceback(healthy: Path, tmp_path: Path) -> None:
    copy, found = tmp_path / "run", {}
    for path in files_of(healthy):
        for way in WAYS:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(healthy, copy)
            (copy / "digests.csv").unlink()
            if path.name != "digests.csv":
                way(copy / path, random.Random(str(path)))
            found[str(path), way.__name__] = ask(COMMANDS["load"], copy).code
    assert set(found.values()) <= {0, 2}, found
