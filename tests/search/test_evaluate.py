"""The evaluate command: a model's scores on labelled pairs, against the predictions themselves."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from sklearn.metrics import accuracy_score, f1_score

from search.evaluate import main
from search.predict import main as predict
from tests.conftest import tiny_experiment, train_final
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

PARAMS = {"batch_size": 8, "projection_width": 16, "hidden_width": 16}


@pytest.fixture(scope="module")
def run_folder(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    train_final(tiny_experiment(corpus=corpus), PARAMS, 1, folder / "model")
    return folder


def table_of(experiment: Experiment, path: Path, test_every: int = 0) -> Path:
    """Write the labelled pairs as a table; of each so many, one is of the test part."""
    rows = [["guid", "text", "image", "tag", *["split"] * bool(test_every)]]
    for index, sample in enumerate(experiment.corpus.labelled):
        assert sample.label is not None
        part = ["train" if test_every and index % test_every else "test"] * bool(test_every)
        rows.append(
            [sample.guid, sample.text, str(sample.image), SENTIMENTS.names[sample.label], *part]
        )
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_scores_are_those_of_the_predictions(
    run_folder: Path,
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiment = make_experiment()
    table, out = table_of(experiment, tmp_path / "pairs.csv"), tmp_path / "scores.json"
    words = [str(run_folder), "--data", str(table), "--allow-outside"]
    assert main([*words, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "30 labelled pairs: 10 positive, 10 neutral, 10 negative" in shown.out
    assert "weights were random: this model is a demonstration" in shown.err
    assert predict(words) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    decided = [row["tag"] for row in rows]
    labels = [SENTIMENTS.names[s.label] for s in experiment.corpus.labelled if s.label is not None]
    scores = json.loads(out.read_text())["scores"]
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, decided))
    expected = f1_score(labels, decided, average="weighted", zero_division=0)
    assert scores["weighted_f1"] == pytest.approx(expected)


def test_of_data_with_a_test_part_that_alone_is_scored(
    run_folder: Path,
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = table_of(make_experiment(), tmp_path / "pairs.csv", test_every=5)
    assert main([str(run_folder), "--data", str(table), "--allow-outside"]) == 0
    assert capsys.readouterr().out.startswith("6 labelled pairs: ")


def test_one_tag_alone_may_be_spelt_otherwise(
    run_folder: Path,
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = table_of(make_experiment(), tmp_path / "pairs.csv")
    table.write_text(table.read_text().replace(",negative", ",sad"))
    words = [str(run_folder), "--data", str(table), "--allow-outside"]
    assert main(words) == 2
    assert "got 'sad'" in capsys.readouterr().err
    assert main([*words, "--tags", "sad=negative"]) == 0
    shown = capsys.readouterr()
    assert "30 labelled pairs: 10 positive, 10 neutral, 10 negative" in shown.out
    assert "note: tags are read as classes: sad as negative" in shown.err
    assert predict(words) == 0, "which needs no tags"
    assert len(capsys.readouterr().out.splitlines()) == 31


def test_a_bad_request_is_refused_with_all_its_faults(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none"), "--data", "nowhere", "--encoding", "utf9"]) == 2
    errors = capsys.readouterr().err
    assert "RUN must be a run folder or its model folder" in errors
    assert "--data must exist, got nowhere" in errors
    assert "--encoding" in errors
    assert main([str(run_folder), "--data", str(tmp_path), "--tags", "0"]) == 2
    assert "--tags must be TAG=CLASS" in capsys.readouterr().err
    bare = tmp_path / "pairs.csv"
    bare.write_text("guid,text,image,tag\n")
    assert main([str(run_folder), "--data", str(bare)]) == 2
    assert "must have pairs with a tag, got none in pairs" in capsys.readouterr().err
