from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.report.gallery import _inlined, gallery, rows_shown
from analysis.run_folder.explanations import Explanation
from analysis.run_folder.folder import RunFolder
from tests.analysis.synthetic import SEARCHED
from tests.records import write_search
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from pathlib import Path


def test_the_surest_mistakes_and_hits_of_each_class_are_shown(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    count = 12
    folder.write_samples(
        pd.DataFrame(
            {
                "guid": [f"{row:02d}" for row in range(count)],
                "tag": ["positive"] * count,
                "text": [f"text {row}" for row in range(count)],
                "image": ["nowhere.jpg"] * count,
                "group": range(count),
            }
        )
    )
    sure = np.linspace(0.5, 0.94, count)
    probabilities = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1)
    probabilities[::2] = probabilities[::2, ::-1]  # the even rows are surely negative
    decided = probabilities.argmax(axis=1)
    rows = np.arange(count)
    said = Validated(rows, rows * 0, rows * 0, probabilities, decided)
    words = ("text", 0.5), ("1", -0.25)
    explained = {1: Explanation(row=1, decided="positive", probability=0.5, words=words)}
    small = folder.thumbnail(10)
    small.parent.mkdir()
    small.write_bytes(b"\xff\xd8 small")
    groups = gallery(analysis.load(tmp_path), said, explained)
    assert [(group.truth, group.right, group.count) for group in groups[:2]] == [
        ("positive", False, 6),
        ("positive", True, 6),
    ]
    assert all(not group.cards for group in groups[2:])
    wrong, right = groups[0].cards, groups[1].cards
    assert [card.row for card in wrong] == [10, 8, 6, 4]
    assert [card.row for card in right] == [1, 11, 9, 7]  # what was explained comes first
    assert right[0].words == (("text", 0.5), ("1", -0.25))
    assert rows_shown(said, explained) == [1, 4, 6, 7, 8, 9, 10, 11]
    assert (wrong[0].guid, wrong[0].text) == ("10", "text 10")
    assert wrong[0].picture == "data:image/jpeg;base64,/9ggc21hbGw="
    assert wrong[1].picture is None
    assert (wrong[0].truth, wrong[0].decided) == ("positive", "negative")
    assert wrong[0].probabilities["negative"] == probabilities[10, 2]


def test_a_sample_that_repeats_validate_twice_is_shown_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    sample = {"guid": ["a"], "tag": ["neutral"], "text": [""], "image": [""], "group": [0]}
    folder.write_samples(pd.DataFrame(sample))
    twice = np.zeros(2, np.int64)
    probabilities = np.array([[0.1, 0.8, 0.1], [0.2, 0.6, 0.2]])
    said = Validated(twice, np.arange(2), twice + 1, probabilities, twice + 1)
    groups = gallery(analysis.load(tmp_path), said, {})
    assert sum(len(group.cards) for group in groups) == 1


@pytest.mark.timeout(120)  # opening a pipe waits for ever
def test_only_a_small_jpeg_of_the_run_folder_gets_into_the_page(tmp_path: Path) -> None:
    jpeg = b"\xff\xd8 small"
    (tmp_path / "private.jpg").write_bytes(jpeg)
    (tmp_path / "0.jpg").symlink_to("private.jpg")
    (tmp_path / "1.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    (tmp_path / "2.jpg").write_bytes(jpeg + bytes(2_000_000))
    os.mkfifo(tmp_path / "3.jpg")
    (tmp_path / "4.jpg").mkdir()
    assert all(_inlined(tmp_path / f"{row}.jpg") is None for row in range(6))
    assert _inlined(tmp_path / "private.jpg") is not None
