"""A search that chooses among two text encoders, from the command line to predictions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.slow
def test_two_text_encoders_are_searched_named_shipped_and_predict(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    def run(module: str, words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *words.split()],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    texts = " ".join(f"--backbone text={weights[name]}" for name in ("bert", "roberta"))
    words = (
        f"--model early_fusion --data demo {texts} --backbone image={weights['resnet']} --epochs 1"
        " --image-size 32 --max-concurrent 1 --trials 2 --confirm 0 --out out"
        " --fix text_backbone=bert+roberta --fix text_unfrozen_layers=0"
        " --fix image_unfrozen_layers=0 --fix text_pooled_layers=third_last"
    )
    out = run("search.run", words)
    assert out.returncode == 0, out.stderr
    assert "with text bert or roberta, image resnet.safetensors" in out.stdout
    folder = RunFolder(tmp_path / "out")
    record = folder.read_search()
    assert list(record.backbones) == ["text/bert", "text/roberta", "image"]
    assert {step.role for step in record.activations} >= {"text/bert", "text/roberta"}
    assert set(folder.read_trials()["config/text_backbone"]) == {"bert+roberta"}
    assert {path.name for path in (folder.model / "text").iterdir()} == {"bert", "roberta"}
    card = (folder.model / "README.md").read_text()
    assert "Backbones: text `bert`, text `roberta`, image `resnet.safetensors`" in card
    assert "bert+roberta" in folder.report.read_text()
    again = run("search.run", f"--resume out --backbone text={weights['distilbert']}")
    assert again.returncode == 2
    assert "--backbone must stay as the search was begun with" in again.stderr
    said = run("search.predict", "out --text what_a_day")
    assert said.returncode != 0, "it reads images too"
    image = next((tmp_path / "cache").rglob("*.jpg"))
    said = run("search.predict", f"out --text lovely --image {image}")
    assert said.returncode == 0, said.stderr
    assert said.stdout.split()[0] in {"positive", "neutral", "negative"}
