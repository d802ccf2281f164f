from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("captum", reason="the extra `explain` is not installed")

import analysis
from analysis.run_folder.explanations import read_explanations
from search.explain import choose, main, overlay, side_by_side
from search.pipeline.run_record import samples_table
from tests.analysis.synthetic import write_run
from tests.conftest import tiny_experiment, train_final
from trainables.config import InputSettings

if TYPE_CHECKING:
    from analysis.run_folder.folder import RunFolder
    from trainables.data.sample import Corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> RunFolder:
    """A run on the small corpus with a final model of tiny weights."""
    run = write_run(tmp_path_factory.mktemp("explained") / "run", samples=30)
    run.write_samples(samples_table(corpus))
    inputs = InputSettings(image_size=32)
    experiment = tiny_experiment(
        corpus=corpus, inputs=inputs, metric="val_loss", max_epochs=1, seed=1
    )
    train_final(experiment, {"batch_size": 8, "image_unfrozen_layers": 1}, 1, run.model)
    return run


@pytest.mark.slow
def test_samples_are_explained_into_the_run_folder_and_its_report(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder.path), "--count", "6"]) == 0
    told = f"6 samples explained in {folder.explanations}\n{folder.report}\n"
    assert capsys.readouterr().out == told
    found = read_explanations(folder)
    assert len(found) == 6
    for row, one in found.items():
        picture = one.picture(folder)
        assert picture == folder.explanations / f"{row}.jpg"
        assert Image.open(picture).size == (32, 32)
        assert (folder.explanations / f"{row}-pair.jpg").exists()
        assert all(-1 <= weight <= 1 for _, weight in one.words)
    page = folder.report.read_text(encoding="utf-8")
    assert page.count("Where the model looked, for ") == 6
    assert "Yellow is where the final model looked" in page


def test_right_and_wrong_of_every_class_take_turns(folder: RunFolder) -> None:
    run = analysis.load(folder.path)
    chosen = choose(run, "val", 6)
    assert len(chosen) == len({one.row for one in chosen}) == 6
    groups = {(one.truth, one.truth == one.decided) for one in chosen}
    assert len(groups) == len(chosen)  # none twice before all had their turn
    assert len(choose(run, "val", 1000)) == 30


@pytest.mark.slow
def test_what_is_to_be_predicted_can_be_explained_too(folder: RunFolder) -> None:
    assert main([str(folder.path), "--split", "test", "--count", "2"]) == 0
    record = json.loads(folder.explanations_index.read_text())
    assert [one["row"] for one in record["samples"]] == [30, 31]
    assert [one["truth"] for one in record["samples"]] == [None, None]


@pytest.mark.slow
def test_it_explains_in_a_process_of_its_own_as_typed(folder: RunFolder) -> None:
    words = [sys.executable, "-m", "analysis.explain", str(folder.path), "--count", "2"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert done.stdout.startswith(f"2 samples explained in {folder.explanations}")


def test_every_fault_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--count", "0"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: RUN must hold model/, got {tmp_path} without; was it run with --no-retrain?",
        "error: --count must be >= 1, got 0",
    ]
    assert main([str(tmp_path / "none")]) == 2
    assert "RUN must be a run folder" in capsys.readouterr().err


def test_a_run_that_kept_no_samples_is_bad_input(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = write_run(tmp_path / "bare")
    bare.samples.unlink()
    bare.model.symlink_to(folder.model)
    assert main([str(bare.path)]) == 2
    assert "--split val must name samples that the run kept" in capsys.readouterr().err


def test_heat_is_yellow_and_cold_is_dark() -> None:
    pixels = np.full((3, 8, 8), 128, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, 4:] = 1
    drawn = np.asarray(overlay(pixels, heat)).astype(int)
    hot, cold = drawn[4, 6], drawn[4, 1]
    assert hot[:2].sum() > cold[:2].sum() + 100
    assert hot[2] < 128
    assert side_by_side(pixels, heat, "is a, predicted as b").size == (680, 366)
