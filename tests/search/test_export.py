"""The export command: what it says, what it writes, and every way to ask for nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from search.export import main
from search.pipeline.run_record import samples_table
from tests.analysis.synthetic import write_run
from tests.conftest import tiny_experiment, train_final
from trainables.config import InputSettings

if TYPE_CHECKING:
    from trainables.data.sample import Corpus

PARAMS = {"batch_size": 8, "projection_width": 16, "hidden_width": 16}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    """A run on the small corpus with a model of tiny weights."""
    run = write_run(tmp_path_factory.mktemp("exported") / "run", samples=30)
    run.write_samples(samples_table(corpus))
    inputs = InputSettings(image_size=32)
    experiment = tiny_experiment(corpus=corpus, inputs=inputs, metric="val_loss", max_epochs=1)
    train_final(experiment, PARAMS, 1, run.model)
    return run.path


@pytest.mark.slow
def test_a_run_is_exported_and_checked_on_its_own_pairs(run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    target = tmp_path / "new" / "sentiment.onnx"
    words = [sys.executable, "-m", "search.export", str(run_folder), "--onnx", str(target)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert (
        done.stderr == "note: text and image weights were random: this model is a demonstration\n"
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{target} (")
    assert lines[1:3] == [f"{target}.tokenizers", f"{target}.json"]
    assert "on 8 pairs of the run: probabilities differ from the model's in float32 by" in lines[3]
    assert len(lines) == 4
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "sentiment.onnx",
        "sentiment.onnx.json",
        "sentiment.onnx.tokenizers",
    ]
    about = json.loads(Path(f"{target}.json").read_text())
    assert about["random_backbones"] == ["text", "image"]


def test_a_bad_request_is_refused_with_all_its_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none"), "--onnx", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert f"RUN must be a run folder or its model folder: there is no folder {tmp_path}" in errors
    assert f"--onnx must be a file that can be written, got {tmp_path}: it is a folder" in errors


def test_a_run_without_a_model_is_told_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run").path
    assert main([str(run), "--onnx", str(tmp_path / "sentiment.onnx")]) == 2
    wanted = f"python -m search.run --resume {run} --retrain"
    assert capsys.readouterr().err.endswith(f"{wanted}\n")


def test_a_folder_that_is_no_model_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--onnx", str(tmp_path / "sentiment.onnx")]) == 2
    assert "must hold config.json and classifier.safetensors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_the_remedy(
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name in {"onnx", "onnxscript"} else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert main([str(run_folder), "--onnx", str(tmp_path / "sentiment.onnx")]) == 2
    told = "error: an export needs onnx, onnxscript (extra onnx); pip install onnx onnxscript\n"
    assert capsys.readouterr().err == told
