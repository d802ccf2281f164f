from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from search.pipeline.stages import once

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_a_stage_is_done_once_and_its_result_kept(folder: RunFolder) -> None:
    calls = []

    def work() -> dict[str, object]:
        calls.append(1)
        return {"seconds": 1.5}

    assert [once(folder, "retrain", {"epochs": 2}, work) for _ in range(3)] == [
        {"seconds": 1.5}
    ] * 3
    assert calls == [1]
    once(folder, "confirm", {"epochs": 2}, work)
    assert calls == [1, 1], "each stage has its own word"


def test_a_stage_whose_ground_has_changed_is_done_again(folder: RunFolder) -> None:
    first = once(folder, "retrain", {"epochs": 2}, lambda: {"n": 1})
    second = once(folder, "retrain", {"epochs": 3}, lambda: {"n": 2})
    third = once(folder, "retrain", {"epochs": 2}, lambda: {"n": 3})
    assert [first, second, third] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_stage_that_was_cut_off_is_not_done(folder: RunFolder) -> None:
    def killed() -> dict[str, object]:
        raise KeyboardInterrupt

    once(folder, "retrain", {"epochs": 2}, lambda: {"n": 1})
    with pytest.raises(KeyboardInterrupt):
        once(folder, "retrain", {"epochs": 3}, killed)
    # Its files may be half overwritten by now: the old word must not hold either.
    assert once(folder, "retrain", {"epochs": 2}, lambda: {"n": 4}) == {"n": 4}
