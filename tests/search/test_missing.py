"""Pairs that lack their text or image: a search on request, and what its model says to them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from analysis.run_folder.folder import RunFolder
from search.evaluate import main as evaluate
from search.predict import main as predict
from search.python_api import FramePredictor
from tests.conftest import tiny_experiment, train_final
from tests.search.command import FROZEN
from trainables.config import InputSettings
from trainables.data.corpus import CorpusError
from trainables.data.demo import demo_corpus
from trainables.evaluation.classes import SENTIMENTS
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.data.sample import Corpus

PARAMS = {"batch_size": 8, "projection_width": 16, "hidden_width": 16}


@pytest.fixture(scope="module", params=["allow", "refuse"])
def model(
    request: pytest.FixtureRequest, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("model")
    inputs = InputSettings(image_size=32, missing=request.param)
    train_final(tiny_experiment(corpus=corpus, inputs=inputs, max_epochs=1), PARAMS, 1, folder)
    return folder


def allows(model: Path) -> bool:
    return Predictor(model).inputs.missing == "allow"


def pairs_in(folder: Path, corpus: Corpus) -> Path:
    """A pair that has both, one without a text, and one without an image."""
    folder.mkdir()
    rows = [["guid", "text", "image", "tag"]]
    for number, sample in enumerate(corpus.samples[1:4]):
        assert sample.image is not None
        shutil.copy(sample.image, folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(sample.text)
        rows.append([str(number), sample.text, f"{number}.png", "positive"])
    (folder / "1.txt").unlink()
    (folder / "2.png").unlink()
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_predictions_follow_the_models_setting(
    model: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = predict([str(model), "--data", str(pairs_in(tmp_path / "pairs", corpus))])
    out, err = capsys.readouterr()
    if not allows(model):
        assert code == 2
        assert "a model that was searched with --missing allow takes pairs that lack one" in err
        return
    assert code == 0
    assert "note: 1 of 3 pairs lack their text: the empty text stands for it\n" in err
    assert "note: 1 of 3 pairs lack their image: a square of the backbone's mean colour" in err
    assert [row["guid"] for row in csv.DictReader(io.StringIO(out))] == ["0", "1", "2"]


def test_one_text_alone_is_enough_where_images_may_be_missing(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = predict([str(model), "--text", "what a lovely day"])
    out, err = capsys.readouterr()
    if allows(model):
        assert (code, out.splitlines()[0] in {"positive", "neutral", "negative"}) == (0, True)
    else:
        assert code == 2
        assert "this model reads both: give one pair by --text TEXT and --image FILE" in err


def test_scores_follow_the_models_setting(
    model: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pairs_in(tmp_path / "pairs", corpus) / "pairs.csv"
    assert evaluate([str(model), "--data", str(table)]) == (0 if allows(model) else 2)
    told = capsys.readouterr()
    if allows(model):
        assert told.out.startswith("3 labelled pairs: 3 positive")
        assert "note: 1 of 3 pairs lack their image" in told.err


def test_a_frame_with_gaps_is_predicted_where_they_are_allowed(
    model: Path,
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert corpus.samples[1].image is not None
    picture = corpus.samples[1].image.read_bytes()
    frame = pd.DataFrame({"text": ["good", None, "bad"], "image": [picture, picture, None]})
    if not allows(model):
        with pytest.raises(CorpusError, match="image must name a file"):
            FramePredictor(model).predict(frame)
        return
    assert len(FramePredictor(model).predict(frame)) == 3
    assert "note: 1 of 3 pairs lack their image: " in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_search_counts_what_is_missing_and_says_so(
    tmp_path: Path, run: Callable[[str], tuple[int, str, str]]
) -> None:
    table = tmp_path / "pairs.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["guid", "text", "image", "tag"])
        for number, sample in enumerate(demo_corpus(tmp_path / "demo").labelled):
            assert sample.image is not None
            assert sample.label is not None
            place = sample.image.relative_to(tmp_path) if number % 10 else ""
            rows.writerow([sample.guid, sample.text, place, SENTIMENTS.names[sample.label]])
    words = f"--model early_fusion --data {table} --backbone text=tiny --backbone image=tiny"
    words += f" {FROZEN} --image-size 32 --max-concurrent 1 --epochs 1 --trials 1 --out out"
    words += " --no-rung-zero --confirm 0"
    code, _, errors = run(words)
    assert code == 2
    assert "image must name a file (--missing allow takes pairs that lack one):" in errors
    code, out, errors = run(f"{words} --missing allow")
    assert code == 0, errors
    noted = (
        "30 of 300 pairs lack their image: a square of the backbone's mean colour stands for it"
    )
    assert noted in out.splitlines()
    folder = RunFolder(tmp_path / "out")
    record = folder.read_search()
    assert record.data.missing == {"text": 0, "image": 30}
    assert noted in record.notes
    assert json.loads((folder.model / "config.json").read_text())["inputs"]["missing"] == "allow"
    assert folder.report.exists()
    code, out, errors = run("--resume out --trials 2")
    assert code == 0, errors
