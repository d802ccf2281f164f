"""A search on data that come with their own split, from the table to the test set's scores."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import SettingsError
from search.evaluate import main as evaluate
from search.pipeline.data import fitted, load_data
from tests.search.command import FROZEN
from trainables.data.demo import demo_corpus
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TINY = "--backbone text=tiny --backbone image=tiny"
PARTS = ("train", "train", "train", "val", "test")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's labelled pairs as a table, a fifth to validate on and a fifth held out."""
    folder = tmp_path_factory.mktemp("table")
    path = folder / "pairs.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["guid", "text", "image", "tag", "split"])
        for index, sample in enumerate(demo_corpus(folder / "demo").labelled):
            assert sample.label is not None
            place = sample.image.relative_to(folder) if sample.image else ""
            part = PARTS[index % len(PARTS)]
            rows.writerow([sample.guid, sample.text, place, SENTIMENTS.names[sample.label], part])
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_test_part_is_held_out_and_scored_once_as_evaluate_scores_it(
    table: Path, run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    words = f"--model early_fusion --data {table} {TINY} {FROZEN} --image-size 32"
    words += " --max-concurrent 1 --no-rung-zero --epochs 2 --trials 2 --seed 1 --out out"
    code, out, errors = run(words)
    assert code == 0, errors
    assert "240 labelled, 60 to predict" in out
    assert "of the 60 pairs held out" in out
    assert "confirming 2 configs on 1 given fold" in out, "the best, and the hand-tuned one"
    assert "on fresh seeds, on the split of the data" in out
    assert "on the test set of 60 pairs, used once: weighted_f1 0." in out
    folder = RunFolder(tmp_path / "out")
    record = folder.read_search()
    assert (record.split.kind, record.split.train, record.split.val) == ("given", (180,), (60,))
    assert record.data.held_out == 60
    tested = json.loads(folder.test_scores.read_text())
    assert len(folder.read_predictions()) == 60
    assert "### On the test set" in (folder.model / "README.md").read_text()
    assert "Held out and used once, 60 pairs: " in folder.report.read_text()
    again = tmp_path / "again.json"
    assert evaluate([str(folder.path), "--data", str(table), "--out", str(again)]) == 0
    evaluated = json.loads(again.read_text())
    assert evaluated["confusion"] == tested["confusion"]
    # The search read cached activations, in half precision.
    assert evaluated["scores"] == pytest.approx(tested["scores"], abs=1e-4)
    resumed = make_plan(parse(["--resume", str(folder.path), "--trials", "3"]))
    corpus = load_data(resumed)
    assert (corpus.digest, fitted(resumed, corpus).folds) == (record.data.digest, 1)


def plan_of(words: str) -> object:
    return make_plan(parse(f"--model early_fusion {TINY} {words}".split()))


def test_a_list_of_folds_says_how_many_there_are(table: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds.csv"
    folds.write_text("guid,fold\na,1\nb,2\nc,3\n")
    plan = make_plan(parse(f"--model early_fusion --data {table} {TINY} --folds {folds}".split()))
    assert (plan.folds, plan.settings.data.folds) == (3, folds)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--val none.csv", "--val must be a list of pairs, got none.csv, which is no file"),
        ("--val {0} --folds 5", "--folds must be left out beside --val"),
        ("--val {0} --repeats 2", "--repeats must be 1 for a split that is given, got 2"),
        ("--val {0} --split lab", "--split lab must be left out, as another split is given"),
        ("--test {0} --data demo", "--test must go with --data of your own, got the demo"),
        ("--folds {0}", "the first line must name the columns guid,fold"),
    ],
)
def test_what_cannot_go_with_a_given_split_is_refused(table: Path, words: str, told: str) -> None:
    words = words.format(table)
    data = "" if "--data" in words else f"--data {table}"
    with pytest.raises(SettingsError) as error:
        plan_of(f"{data} {words}")
    assert told in " ".join(str(error.value).split())
