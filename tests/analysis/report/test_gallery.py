from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

import analysis
from analysis.explanations import Explanation
from analysis.report.gallery import gallery, thumbnail
from analysis.resampling import Validated
from analysis.results import RunFolder

if TYPE_CHECKING:
    from pathlib import Path


def opened(source: str) -> Image.Image:
    head, body = source.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(BytesIO(base64.b64decode(body)))


def test_a_thumbnail_is_small_and_whatever_the_file_was(tmp_path: Path) -> None:
    for mode, name, size in [("RGBA", "a.png", (600, 300)), ("P", "b.gif", (30, 90))]:
        Image.new(mode, size).save(tmp_path / name)
        found = thumbnail(tmp_path / name)
        assert found is not None
        assert opened(found.source).size == (found.width, found.height)
        assert max(found.width, found.height) <= 240
        assert found.width / found.height == size[0] / size[1]


def test_what_is_gone_or_no_image_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    Image.new("L", (9000, 9000)).save(tmp_path / "vast.png")
    for name in ("gone.jpg", "text.jpg", "vast.png"):
        assert thumbnail(tmp_path / name) is None


def test_the_surest_mistakes_and_hits_of_each_class_are_shown(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_search({"objective": "val_accuracy", "mode": "max"})
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
    explained = {1: Explanation(1, "positive", 0.5, None, (("text", 0.5), ("1", -0.25)))}
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
    assert (wrong[0].guid, wrong[0].text, wrong[0].picture) == ("10", "text 10", None)
    assert (wrong[0].truth, wrong[0].decided) == ("positive", "negative")
    assert wrong[0].probabilities["negative"] == probabilities[10, 2]


def test_a_sample_that_repeats_validate_twice_is_shown_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_search({"objective": "val_accuracy", "mode": "max"})
    sample = {"guid": ["a"], "tag": ["neutral"], "text": [""], "image": [""], "group": [0]}
    folder.write_samples(pd.DataFrame(sample))
    twice = np.zeros(2, np.int64)
    probabilities = np.array([[0.1, 0.8, 0.1], [0.2, 0.6, 0.2]])
    said = Validated(twice, np.arange(2), twice + 1, probabilities, twice + 1)
    groups = gallery(analysis.load(tmp_path), said, {})
    assert sum(len(group.cards) for group in groups) == 1
