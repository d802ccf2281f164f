"""The search from Python: the words of the command line, frames, and a run that predicts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import search
from search import python_api
from search.errors import SettingsError, WorkError
from search.pipeline import multi_model
from search.python_api import stored, words_of
from spaces import SPACES
from tests.conftest import train_final
from tests.search.command import Command
from tests.search.selection.several import write_model
from tests.search.selection.test_model_choice import RIGHTS
from tests.trainables.data.conftest import jpeg
from trainables.data.corpus import Allowed, CorpusError, load_corpus

if TYPE_CHECKING:
    from collections.abc import Callable

    from search.config.settings import SearchSettings
    from trainables.experiment import Experiment


def test_settings_are_spelt_as_on_the_command_line() -> None:
    words = words_of(
        {
            "data": Path("pairs.csv"),
            "backbone": {"text": ["a", "b"], "image": "c"},
            "fix": {"lexicon": False, "hidden_width": 64},
            "range": {"head_dropout": (0.1, 0.5), "text_cleaning": ["basic", "minimal"]},
            "trials": 12,
            "time_budget": "20m",
            "out": None,
            "retrain": False,
            "no_cache": True,
            "warm_start": ["runs/a", "runs/b"],
        }
    )
    assert " ".join(words) == (
        "--data pairs.csv --backbone text=a --backbone text=b --backbone image=c"
        " --fix lexicon=false --fix hidden_width=64 --range head_dropout=0.1:0.5"
        " --range text_cleaning=basic,minimal --trials 12 --time-budget 20m --no-retrain"
        " --no-cache --warm-start runs/a --warm-start runs/b"
    )


def test_what_is_no_setting_or_searches_nothing_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="got 'trails'; did you mean 'trials'"):
        search.search(model="early_fusion", trails=3)
    with pytest.raises(TypeError, match="got 'dry_run'"):
        search.search(model="early_fusion", dry_run=True)


def test_faults_are_exceptions_with_the_messages_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as error:
        search.search(model="early_fusio", trials=0)
    assert str(error.value).splitlines() == [
        "--model must be a model, got 'early_fusio'; did you mean 'early_fusion'?",
        "--trials must be >= 1, got 0",
    ]
    with pytest.raises(SettingsError, match="trials"):
        search.search(model="early_fusion", trials="many")
    assert not list(tmp_path.iterdir())
    frame = pd.DataFrame({"text": ["a", "b"], "image": ["1.jpg", "2.jpg"], "label": ["p", "n"]})
    with pytest.raises(CorpusError) as fault:
        search.search(model="early_fusion", data=frame, cache=tmp_path, out=tmp_path / "out")
    assert "the frame: got no tag in 'text,image,label'" in str(fault.value)


def test_a_frame_is_stored_once_and_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        Path(f"{number}.jpg").write_bytes(jpeg(number))
    frame = pd.DataFrame(
        {
            "Text": ["good", "bad", "?"],
            "image": ["1.jpg", Path("2.jpg"), "1.jpg"],
            "tag": ["positive", "negative", None],
        }
    )
    table = stored(frame, tmp_path / "cache")
    assert table == stored(frame.copy(), tmp_path / "cache")
    assert table != stored(frame.assign(Text="other"), tmp_path / "cache")
    corpus = load_corpus(table, allowed=Allowed(outside=True))
    assert [(s.guid, s.text, s.image) for s in corpus.samples] == [
        ("0", "good", tmp_path / "1.jpg"),
        ("1", "bad", tmp_path / "2.jpg"),
        ("2", "?", tmp_path / "1.jpg"),
    ]
    assert list(frame.columns) == ["Text", "image", "tag"], "the caller's own is left alone"
    kept = [{"bytes": jpeg(1), "path": "a.jpg"}, {"path": "2.jpg", "bytes": None}]
    as_the_hub_has_it = frame.head(2).assign(image=kept)
    as_bytes = frame.head(2).assign(image=[jpeg(1), jpeg(2)])
    assert stored(as_the_hub_has_it.head(1), tmp_path) == stored(as_bytes.head(1), tmp_path)
    assert stored(as_the_hub_has_it.tail(1), tmp_path) == stored(frame.iloc[1:2], tmp_path)
    with pytest.raises(ValueError, match="or bytes of images, one a pair, got bytes and str"):
        stored(frame.assign(image=["1.jpg", b"2", "3"]), tmp_path)
    with pytest.raises(ValueError, match="a frame that Parquet can hold: "):
        stored(frame.assign(tag=["positive", 3, object()]), tmp_path)


def test_a_predictor_knows_the_columns_that_a_search_knows(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    train_final(experiment, {"hidden_width": 16}, 1, tmp_path / "model")
    predictor = python_api.FramePredictor(tmp_path / "model")
    samples = experiment.corpus.unlabelled
    frame = pd.DataFrame({"text": [s.text for s in samples], "image": [s.image for s in samples]})
    expected = predictor.predict(frame)
    again = predictor.predict(frame.set_axis(["Text", " IMAGE "], axis=1).assign(tag="joy"))
    pd.testing.assert_frame_equal(again, expected)
    with pytest.raises(CorpusError) as error:
        predictor.predict(frame.rename(columns={"text": "tweet"}))
    assert "a frame must have the columns guid,text,image,tag" in str(error.value)
    assert "parquet" not in str(error.value).lower()
    with pytest.raises(TypeError, match="pairs must be given as a pandas DataFrame, got dict"):
        predictor.predict({"text": ["a"]})  # type: ignore[arg-type]


MODELS = (*RIGHTS, "late_fusion")


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Let every search end as written by hand, or with the error given for its model."""
    errors: dict[str, Exception] = {}

    def search_one(settings: SearchSettings) -> None:
        if settings.model in errors:
            raise errors[settings.model]
        assert settings.out is not None
        write_model(settings.out.parent, settings.model, RIGHTS[settings.model])

    monkeypatch.setattr(python_api, "_searched", search_one)
    monkeypatch.setattr(multi_model, "SPACES", {name: SPACES[name] for name in MODELS})
    return errors


def search_all(out: Path) -> python_api.Run:
    return search.search(
        model="all", data="demo", folds=3, metric="val_accuracy", final="refit", out=out
    )


def test_all_models_are_searched_and_the_run_is_the_chosen_ones(
    searched: dict[str, Exception], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched["late_fusion"] = WorkError("no trial has a score")
    run = search_all(tmp_path / "out")
    assert (run.search.model, run.best.trial if run.best else None) == ("early_fusion", 3)
    assert run.folder.path == tmp_path / "out" / "early_fusion"
    assert run.ships == tmp_path / "out" / "model"
    assert (run.ships / "config.json").read_text() == "early_fusion"
    told = capsys.readouterr()
    assert told.err == "note: late_fusion: no trial has a score\n"
    assert [line for line in told.out.splitlines() if line.startswith("model ")][:4] == [
        *(f"model {number} of 4" for number in (1, 2, 3, 4)),
    ]
    assert "best val_accuracy 0.6111 as confirmed by choosing among 3 models" in told.out


def test_where_every_model_fails_all_errors_are_one_exception(
    searched: dict[str, Exception], tmp_path: Path
) -> None:
    searched |= {name: WorkError(f"{name} failed") for name in MODELS}
    searched["clip"] = CorpusError("the data are gone")
    with pytest.raises(WorkError) as error:
        search_all(tmp_path / "out")
    assert {*str(error.value).splitlines()} == {
        "early_fusion: early_fusion failed",
        "clip: the data are gone",
        "blip: blip failed",
        "late_fusion: late_fusion failed",
    }
    assert not (tmp_path / "out" / "all_models.json").exists()


def test_an_interrupted_search_of_all_gives_no_answer(
    searched: dict[str, Exception], tmp_path: Path
) -> None:
    searched["clip"] = KeyboardInterrupt()  # type: ignore[assignment] # ends all
    with pytest.raises(KeyboardInterrupt):
        search_all(tmp_path / "out")
    assert not (tmp_path / "out" / "best_model.json").exists()


EXAMPLE = """
from pathlib import Path

import pandas as pd
import search
from trainables.data.demo import demo_corpus
from trainables.evaluation.classes import SENTIMENTS

samples = demo_corpus(Path("demo")).labelled
frame = pd.DataFrame(
    {
        "text": [sample.text for sample in samples],
        "image": [sample.image.read_bytes() for sample in samples],
        "tag": [SENTIMENTS.names[sample.label] for sample in samples],
    }
)
run = search.search(
    model="early_fusion", trials=2, epochs=1, data=frame, out="run", max_concurrent=1,
    backbones={"text": "tiny", "image": "tiny"}, image_size=32, confirm=0, rung_zero=False,
    fix={"text_unfrozen_layers": 0, "image_unfrozen_layers": 0},
)
print(len(run.trials), run.best.trial in set(run.trials["trial"]))
found = run.predictor().predict(frame.head(3).set_index(pd.Index(list("abc"))))
print(list(found.columns), list(found.index), found.iloc[:, 2:].sum(axis=1).round(3).tolist())
"""


@pytest.mark.slow
def test_the_example_runs_in_a_plain_interpreter(tmp_path: Path, cache: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", EXAMPLE],
        cwd=tmp_path,
        env=os.environ | Command(tmp_path, cache).variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert "2 True" in lines
    columns = ["guid", "tag", "positive", "neutral", "negative"]
    assert f"{columns} ['a', 'b', 'c'] [1.0, 1.0, 1.0]" in lines
