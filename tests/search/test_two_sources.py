"""A search that chooses among two text encoders, from the command line to predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from search import predict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_two_text_encoders_are_searched_named_shipped_and_predict(
    run: Callable[[str], tuple[int, str, str]],
    weights: Mapping[str, str],
    tmp_path: Path,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    texts = " ".join(f"--backbone text={weights[name]}" for name in ("bert", "roberta"))
    words = (
        f"--model early_fusion --data demo {texts} --backbone image={weights['resnet']} --epochs 1"
        " --image-size 32 --max-concurrent 1 --trials 2 --no-rung-zero --confirm 0 --out out"
        " --fix text_backbone=bert+roberta --fix text_unfrozen_layers=0"
        " --fix image_unfrozen_layers=0 --fix text_pooled_layers=third_last"
    )
    code, out, errors = run(words)
    assert code == 0, errors
    assert "with text bert or roberta, image resnet.safetensors" in " ".join(out.split())
    folder = RunFolder(tmp_path / "out")
    record = folder.read_search()
    assert list(record.backbones) == ["text/bert", "text/roberta", "image"]
    assert {step.role for step in record.activations} >= {"text/bert", "text/roberta"}
    assert set(folder.read_trials()["config/text_backbone"]) == {"bert+roberta"}
    assert {path.name for path in (folder.model / "text").iterdir()} == {"bert", "roberta"}
    card = (folder.model / "README.md").read_text()
    assert "Backbones: text `bert`, text `roberta`, image `resnet.safetensors`" in card
    assert "bert+roberta" in folder.report.read_text()
    code, _, errors = run(f"--resume out --backbone text={weights['distilbert']}")
    assert code == 2
    assert "--backbone must stay as the search was begun with" in errors
    assert predict.main(["out", "--text", "what_a_day"]) != 0, "it reads images too"
    capfd.readouterr()
    image = next(cache.rglob("*.jpg"))
    code = predict.main(f"out --text lovely --image {image}".split())
    predicted, errors = capfd.readouterr()
    assert code == 0, errors
    assert predicted.split()[0] in {"positive", "neutral", "negative"}
