"""The predict command: one pair, many pairs, and every way to ask for nothing."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from search.predict import _hand_over, main
from tests.conftest import tiny_experiment, train_final
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

PARAMS = {"batch_size": 8, "projection_width": 16, "hidden_width": 16}


@pytest.fixture(scope="module")
def run_folder(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predicted") / "run"
    train_final(tiny_experiment(corpus=corpus), PARAMS, 1, folder / "model")
    return folder


@pytest.fixture
def pairs(make_experiment: Callable[..., Experiment], tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for sample in make_experiment().corpus.unlabelled:
        (folder / f"{sample.guid}.txt").write_text(sample.text)
        shutil.copy(sample.image, folder / f"{sample.guid}.png")
    return folder


def test_one_pair_is_shown_with_its_probabilities(
    run_folder: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(pairs.glob("*.png"))
    assert main([str(run_folder), "--text", "a lovely day", "--image", str(image)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] in {"positive", "neutral", "negative"}
    shown = {line.split()[0]: float(line.split()[1].rstrip("%")) for line in lines[1:]}
    assert sum(shown.values()) == pytest.approx(100, abs=0.2)
    assert max(shown, key=lambda tag: shown[tag]) == lines[0]
    assert "weights were random: this model is a demonstration" in err


def test_many_pairs_make_a_table_that_equals_the_model(
    run_folder: Path,
    pairs: Path,
    make_experiment: Callable[..., Experiment],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(run_folder / "model"), "--data", str(pairs)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    expected = Predictor(run_folder / "model").predict(make_experiment().corpus.unlabelled)
    assert [row["guid"] for row in rows] == [prediction.guid for prediction in expected]
    assert [row["tag"] for row in rows] == [prediction.tag for prediction in expected]
    for row, prediction in zip(rows, expected, strict=True):
        shown = [float(row[tag]) for tag in ("positive", "neutral", "negative")]
        assert shown == pytest.approx(prediction.probabilities, abs=2e-6)


def test_a_table_can_go_to_a_file(run_folder: Path, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert main([str(run_folder), "--data", str(pairs), "--out", str(out)]) == 0
    assert out.read_text().splitlines()[0] == "guid,tag,positive,neutral,negative"
    assert len(out.read_text().splitlines()) == 7


def test_guids_stay_as_they_are_unless_a_spreadsheet_is_to_open_them(
    run_folder: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(pairs.glob("*.png")).name
    table = pairs / "pairs.csv"
    table.write_text(f"guid;text;image\n=1+1;a, b;{image}\n007;c;{image}\n")
    guids = {}
    for flags in ([], ["--spreadsheet-safe"]):
        assert main([str(run_folder), "--data", str(table), *flags]) == 0
        rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
        guids[tuple(flags)] = [row["guid"] for row in rows]
    assert guids == {(): ["=1+1", "007"], ("--spreadsheet-safe",): ["'=1+1", "007"]}


def test_texts_are_read_in_the_encoding_of_the_search(
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs = replace(make_experiment().inputs, encoding="gb18030")
    train_final(make_experiment(inputs=inputs, modality="text"), PARAMS, 1, tmp_path / "model")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "1.txt").write_bytes("good day…".encode("gb18030"))  # one text alone cannot tell
    for words, name in (([], "GB18030"), (["--encoding", "cp1252"], "CP1252")):
        assert main([str(tmp_path), "--data", str(texts), *words]) == 0
        err = capsys.readouterr().err
        assert f"note: 1 of 1 texts is {name}, not UTF-8; read as such\n" in err
    assert main([str(tmp_path), "--data", str(texts), "--encoding", "gb18031"]) == 2
    assert "--encoding must be an encoding of text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["nowhere", "--out", "x"], ["there is no folder nowhere", "--text TEXT", "--out goes"]),
        (["."], ["give one pair by --text TEXT and --image FILE, or many by --data DIR"]),
        ([".", "--text", "a", "--image", "no.jpg"], ["--image must exist, got no.jpg"]),
        ([".", "--text", "a", "--data", "."], ["not both"]),
        ([".", "--data", "."], ["must hold config.json and classifier.safetensors"]),
    ],
)
def test_a_bad_request_is_refused_with_all_its_faults(
    words: list[str],
    messages: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert all(message in err for message in messages), err


def test_a_damaged_image_is_refused(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"\xff\xd8\xff")
    assert main([str(run_folder), "--text", "a", "--image", str(image)]) == 2
    assert "cat.jpg" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_of_one_modality_asks_for_that_alone(
    make_experiment: Callable[..., Experiment],
    run_folder: Path,
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for modality in ("text", "image"):
        train_final(make_experiment(modality=modality), PARAMS, 1, tmp_path / modality / "model")
    text, image = ["--text", "a lovely day"], ["--image", str(next(pairs.glob("*.png")))]
    assert main([str(tmp_path / "text"), *text]) == 0
    assert main([str(tmp_path / "image"), *image]) == 0
    assert main([str(tmp_path / "image"), "--data", str(pairs)]) == 0
    capsys.readouterr()
    refusals = {
        (run_folder, *text): "both: give one pair by --text TEXT and --image FILE",
        (tmp_path / "text", *text, *image): "text only: give one text by --text TEXT",
        (tmp_path / "image", *text): "image only: give one image by --image FILE",
    }
    for words, message in refusals.items():
        assert main(list(map(str, words))) == 2
        expected = f"error: this model reads {message}, or many by --data DIR\n"
        assert capsys.readouterr().err == expected


def test_predictions_whose_file_has_no_room_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _hand_over("guid,tag\n", Path("/dev/full")) == 1
    out, err = capsys.readouterr()
    assert out == "guid,tag\n"
    assert err == (
        "error: --out /dev/full cannot be written: No space left on device; printed instead\n"
    )
