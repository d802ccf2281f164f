"""Runs to be reported on: one that shows everything, a plain one, and one that holds nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from PIL import Image

import analysis
from analysis.run_folder.folder import RunFolder
from tests.analysis.synthetic import METRIC, SEARCHED, write_run
from tests.records import read_best, write_best, write_search

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.run import Run

HOSTILE = '<img src="http://example.invalid/x.png" onerror="document.title=\'broken\'"></script>'


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with images, hostile texts, explanations and a confirmed score."""
    folder = write_run(tmp_path_factory.mktemp("report") / "run <&> one", trials=12, epochs=6)
    samples = folder.read_samples()
    folder.thumbnail(0).parent.mkdir()
    for row in range(40):
        Image.new("RGB", (60 + row, 50), (6 * row, 90, 120)).save(folder.thumbnail(row))
    samples["text"] = HOSTILE
    folder.write_samples(samples)
    best = read_best(folder)
    candidate = {"searched": best["score"], "confirmed": 0.4, "spread": 0.01}
    write_best(
        folder,
        best
        | {
            "confirmed": {"score": 0.4, "interval": [0.35, 0.45], "scores": {METRIC: 0.4}},
            "candidates": [candidate | {"trial": best["trial"], "interval": [0.35, 0.45]}],
            "floor": {"logistic_regression": {METRIC: 0.3}, "interval": [0.25, 0.35]},
            "decision": {"rule": "tuned", "neutral_threshold": 0.4, "temperature": 1.5},
            "final": {"kind": "refit", "why": HOSTILE},
        },
    )
    folder.write_rung_zero(
        pd.DataFrame(
            {
                "config/lexicon": [True, False],
                "config/text_pooling": ["mean", "mean"],
                "loss": [0.655, 0.682],
                "objective": [0.696, 0.685],
                "loss_behind": [0.0, 0.027],
                "loss_error": [0.0, 0.004],
                "objective_behind": [0.0, 0.011],
                "objective_error": [0.0, 0.005],
                "hopeless": [False, False],
            }
        )
    )
    sentences = ["rung zero leaves x=<1> out of the space: it is behind"]
    folder.write_stages({"rung_zero": {"depends_on": {}, "result": {"sentences": sentences}}})
    folder.explanations.mkdir()
    Image.new("RGB", (50, 50), (200, 40, 40)).save(folder.explanations / "3.jpg")
    words = [["<b>", 0.5], ["day", -0.25]]
    explained = {"row": 3, "decided": "positive", "probability": 0.9, "overlay": "3.jpg"}
    folder.explanations_index.write_text(json.dumps({"samples": [explained | {"words": words}]}))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of twelve trials, four of them stopped; a test must not change it."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", trials=12, epochs=6)
    return analysis.load(folder.path)


@pytest.fixture
def empty(tmp_path: Path) -> Run:
    write_search(RunFolder(tmp_path), SEARCHED)
    return analysis.load(tmp_path)
