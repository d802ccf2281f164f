from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from spaces import SPACES
from tests.records import read_search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_models_are_searched_and_end_in_one_table(
    run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    words = "--model all --data demo --trials 1 --epochs 1 --folds 1 --image-size 32"
    code, out, errors = run(f"{words} --confirm 0 --no-retrain --out out")
    assert code == 0, errors
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("run "))
    for column in ("epochs", "F1 neu", "accuracy", "macro F1", "weighted F1"):
        assert column in lines[head]
    named = {line.split()[0] for line in lines[head + 1 : head + 1 + len(SPACES)]}
    assert named == set(SPACES)
    for name in SPACES:
        assert read_search(RunFolder(tmp_path / "out" / name))["model"] == name
