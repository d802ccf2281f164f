from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

import analysis
from analysis.report.data_card import data_card
from analysis.run_folder.folder import RunFolder
from tests.analysis.synthetic import SEARCHED
from tests.records import write_search

if TYPE_CHECKING:
    from pathlib import Path


def test_the_data_are_described_by_what_was_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_search(
        folder,
        SEARCHED
        | {
            "data": SEARCHED["data"]
            | {
                "name": "mine",
                "labelled": 4,
                "unlabelled": 2,
                "classes": {"positive": 2, "neutral": 1, "negative": 1},
            },
            "split": SEARCHED["split"] | {"folds": 2, "repeats": 3},
        },
    )
    folder.write_samples(
        pd.DataFrame(
            {
                "guid": list("abcdef"),
                "tag": ["positive", "neutral", "positive", "negative", None, None],
                "text": ["one two", "one", "", "one two three", "x", "y"],
                "image": ["a.jpg"] * 6,
                "width": pd.array([100, 400, *[None] * 4], "Int64"),
                "height": pd.array([300, 500, *[None] * 4], "Int64"),
                # a and b are duplicates with two labels; d is one of e, which is to be predicted
                "group": [0, 0, 2, 3, 3, 5],
            }
        )
    )
    card = data_card(analysis.load(tmp_path))
    assert dict(card.facts) == {
        "labelled": "4",
        "to predict": "2",
        "positive": "2 (50 %)",
        "neutral": "1 (25 %)",
        "negative": "1 (25 %)",
        "split": "grouped, 2 folds, 3 times",
        "in groups of duplicates": "4 samples",
        "of these, groups with several labels": "1",
        "groups both labelled and to predict": "1",
        "words per text": "1 median, 3 at most",
        "image size": "250 x 400 px median",
        "narrower than 224 px": "1",
    }
    (figure,) = card.figures
    assert figure.reading == "Words on average: positive 1.0, neutral 1.0, negative 3.0."
    folder.write_samples(pd.read_parquet(folder.samples).assign(text=""))  # only images are read
    card = data_card(analysis.load(tmp_path))
    assert "words per text" not in dict(card.facts)
    assert not card.figures
    folder.samples.unlink()
    assert len(data_card(analysis.load(tmp_path)).facts) == 6
