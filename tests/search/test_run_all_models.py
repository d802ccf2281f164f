"""`--model all` as a user meets it: what lies in its folder, and that it goes on as one."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import ray

from analysis.program import make_console
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.run import load
from search import run as command
from search.config.settings import parse
from search.pipeline import multi_model
from search.pipeline.one_answer import give_one_answer
from spaces import SPACES
from tests.analysis.synthetic import SEARCHED
from tests.records import read_search, write_search
from tests.search.test_classes import TINY, scores_say_the_same, write_pairs
from trainables.data.sample import Sample
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from search.config.settings import SearchSettings

    Run = Callable[[str], tuple[int, str, str]]

TWO = ("early_fusion", "late_fusion")
NAMES = ("no", "yes")
WORDS = (
    "--model all --trials 2 --epochs 2 --folds 2 --max-concurrent 1"
    " --no-rung-zero --fix text_unfrozen_layers=0 --fix image_unfrozen_layers=0"
    " --final ensemble --ensemble-size 4 --seed 2"  # with which it has members of both models
)


@pytest.fixture
def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all models be two of them."""
    monkeypatch.setattr(multi_model, "SPACES", {name: SPACES[name] for name in TWO})


@pytest.mark.slow
@pytest.mark.usefixtures("own_ray")
def test_all_models_are_searched_in_one_ray_and_end_in_one_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_preload_python_modules", "")
    start, starts = ray.init, []
    monkeypatch.setattr(ray, "init", lambda **words: starts.append(start(**words)))
    words = "--model all --data demo --trials 1 --epochs 1 --folds 1 --image-size 32"
    code, out, errors = run(f"{words} --no-rung-zero --confirm 0 --no-retrain --out out")
    assert code == 0, errors
    assert len(starts) == 1
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("run "))
    for column in ("epochs", "F1 neutral", "accuracy", "macro F1", "weighted F1"):
        assert column in lines[head]
    named = {line.split()[0] for line in lines[head + 1 : head + 1 + len(SPACES)]}
    assert named == set(SPACES)
    for name in SPACES:
        assert read_search(RunFolder(tmp_path / "out" / name))["model"] == name
    best = RunFolder(tmp_path / "out").read_best_model()
    assert (best.basis, best.shipped, len(best.models)) == ("searched", None, len(SPACES))
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster", "two_models")
def test_two_models_end_in_one_answer_and_go_on_as_one(run: Run, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "irony.csv", 40, {"0": "really", "1": "sure"}, shown=0.6)
    code, out, errors = run(f"{WORDS} --data {data} --tags 0=no,1=yes {TINY} --out whole")
    assert code == 0, errors
    assert "model 1 of 2" in out
    assert "2 classes: no, yes; the likeliest decides" in out
    whole = RunFolder(tmp_path / "whole")
    best = whole.read_best_model()
    assert {one.model for one in best.models} == set(TWO)
    assert (best.basis, best.left_out) == ("confirmed", {})
    assert best.shipped_ensemble is not None, "as asked for"
    assert "F1 yes" in whole.report.read_text()
    assert_predicts_what_was_written(whole)
    for folder in (whole, RunFolder(whole.path / "late_fusion")):
        members = json.loads((folder.model / "config.json").read_text())["members"]
        assert len(members) > 1, "an ensemble, as asked for"
        scores_say_the_same(folder, data, NAMES, {"0": "no", "1": "yes"})
    card = (whole.model / "README.md").read_text()
    assert "# an ensemble of late_fusion and early_fusion: no or yes?" in card
    assert "| F1 yes |" in card

    # The same as it is when the second search is interrupted before its first trial.
    broken = RunFolder(tmp_path / "broken")
    shutil.copytree(whole.path, broken.path, ignore=shutil.ignore_patterns("late_fusion"))
    for path in (broken.best_model, broken.predictions, broken.probabilities, broken.report):
        path.unlink()
    shutil.rmtree(broken.model)
    code, out, errors = run("--resume broken")
    assert code == 0, errors
    assert broken.predictions.read_text() == whole.predictions.read_text()
    assert broken.probabilities.read_text() == whole.probabilities.read_text()
    assert broken.read_best_model() == best

    # Where no ensemble of both is wanted, the chosen model's own ships.
    searches = multi_model.settings_by_model(parse(["--resume", "whole", "--final", "refit"]))
    assert give_one_answer(whole, searches, math.inf, make_console()) is not None
    best = whole.read_best_model()
    own = RunFolder(whole.path / best.model)
    assert best.ensemble is None
    assert whole.predictions.read_text() == own.predictions.read_text()
    assert whole.probabilities.read_text() == own.probabilities.read_text()
    assert_predicts_what_was_written(whole)


def assert_predicts_what_was_written(folder: RunFolder) -> None:
    samples = load(folder.path / "early_fusion").samples
    pairs = [
        Sample(str(row["guid"]), str(row["text"]), Path(row["image"]), "")
        for row in samples[samples["tag"].isna()].to_dict("records")
    ]
    predictions = Predictor(folder.model).predict(pairs)
    assert [one.tag for one in predictions] == folder.read_predictions()["tag"].tolist()
    written = folder.read_probabilities()[list(NAMES)].to_numpy()
    np.testing.assert_allclose([one.probabilities for one in predictions], written, atol=2e-3)


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize("how", ["in a search", "between two"])
def test_an_interrupted_search_leaves_no_answer_and_says_how_all_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def search(settings: SearchSettings) -> int:
        assert settings.out is not None
        write_search(RunFolder(settings.out), SEARCHED)
        if how == "between two":
            raise KeyboardInterrupt
        return 130

    monkeypatch.setattr(command, "_run", search)
    answers: list[Any] = []
    monkeypatch.setattr(command, "_answer", lambda *given: answers.append(given) or 0)
    code, _, errors = run(f"{WORDS} --data demo --out out")
    assert code == 130
    assert answers == []
    assert errors.endswith(f"error: --resume {tmp_path / 'out'} goes on with all models\n")
    assert not RunFolder(tmp_path / "out").best_model.exists()


@pytest.mark.usefixtures("two_models")
def test_where_nothing_can_begin_no_folder_is_left(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_run", lambda _: 2)
    code, _, _ = run(f"{WORDS} --data demo")
    assert code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_models")
def test_a_second_command_in_the_folder_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(_: SearchSettings) -> int:
        code, _, errors = run("--resume out")
        assert code == 2
        assert "out must have one search at a time; process" in errors
        return 0

    monkeypatch.setattr(command, "_run", search)
    run(f"{WORDS} --data demo --out out")
