"""A run whose report shows everything: images, hostile texts, explanations, a confirmed score."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.analysis.synthetic import METRIC, write_run

if TYPE_CHECKING:
    from analysis.run_folder.folder import RunFolder

HOSTILE = '<img src="http://example.invalid/x.png" onerror="document.title=\'broken\'"></script>'


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = write_run(tmp_path_factory.mktemp("report") / "run <&> one", trials=12, epochs=6)
    samples = folder.read_samples()
    folder.thumbnail(0).parent.mkdir()
    for row in range(40):
        Image.new("RGB", (60 + row, 50), (6 * row, 90, 120)).save(folder.thumbnail(row))
    samples["text"] = HOSTILE
    folder.write_samples(samples)
    best = folder.read_best()
    candidate = {"searched": best["score"], "confirmed": 0.4, "spread": 0.01}
    folder.write_best(
        best
        | {
            "confirmed": {"score": 0.4, "interval": [0.35, 0.45], "scores": {METRIC: 0.4}},
            "candidates": [candidate | {"trial": best["trial"], "interval": [0.35, 0.45]}],
            "floor": {"logistic_regression": {METRIC: 0.3}, "interval": [0.25, 0.35]},
            "decision": {"rule": "tuned", "neutral_threshold": 0.4, "temperature": 1.5},
            "final": {"kind": "refit", "why": HOSTILE},
        }
    )
    folder.explanations.mkdir()
    Image.new("RGB", (50, 50), (200, 40, 40)).save(folder.explanations / "3.jpg")
    words = [["<b>", 0.5], ["day", -0.25]]
    explained = {"row": 3, "decided": "positive", "probability": 0.9, "overlay": "3.jpg"}
    folder.explanations_index.write_text(json.dumps({"samples": [explained | {"words": words}]}))
    return folder
