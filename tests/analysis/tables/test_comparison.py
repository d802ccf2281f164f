from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.render.table import FORMATS, formatted, notes
from analysis.run_folder.folder import RunFolder
from analysis.tables.comparison import PAIRS, columns_of, compared_scores
from analysis.tables.reference import MODELS, published
from tests.analysis.synthetic import METRIC, write_run
from tests.records import read_best, read_search, write_best, write_search
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from analysis.run_folder.run import Run

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    weak = write_run(folder / "weak", skill=0.5)
    strong = write_run(folder / "strong_<b>", skill=4.0, model="clip", modality="text")
    write_run(folder / "demo", seed=1, data={**read_search(weak)["data"], "digest": "d2"})
    return [analysis.load(path) for path in (weak.path, strong.path, folder / "demo")]


def test_the_best_run_stands_first_and_what_was_published_last(runs: list[Run]) -> None:
    rows = analysis.compare_runs(runs).rows
    assert list(rows.columns) == list(columns_of(compared_scores(runs)))
    assert rows["run"].iloc[0] == "strong_<b>"
    assert rows["model"].iloc[0] == "clip, text only"
    assert rows["kind"].tolist() == ["run"] * 3 + ["published"] * 10
    assert rows["weighted_f1"].iloc[:3].is_monotonic_decreasing
    assert analysis.compare_runs(runs, reference=False).rows["kind"].tolist() == ["run"] * 3


def test_a_row_says_what_its_run_says(runs: list[Run]) -> None:
    row = analysis.compare_runs(runs).rows.set_index("run").loc["weak"]
    best = runs[0].best
    assert best is not None
    assert row["weighted_f1"] == best.scores[METRIC]
    assert row["low"] < row["weighted_f1"] < row["high"]
    assert row["trainable_parameters"] == 10_000 + best.trial
    assert (row["epochs"], row["seconds"]) == (best.best_epoch, 10.0)
    # Four epochs of two seconds, each over three folds that train on 40 of 60 samples.
    assert row["samples_per_second"] == 4 * 3 * 40 / (4 * 2.0)
    assert row["scored"] == "searched"


def test_only_runs_of_the_same_samples_are_paired(runs: list[Run]) -> None:
    pairs = analysis.compare_runs(runs).pairs
    assert list(pairs.columns) == list(PAIRS)
    assert pairs[["run", "other"]].to_numpy().tolist() == [["weak", "strong_<b>"]]
    pair = pairs.iloc[0]
    assert pair["low"] < pair["difference"] < pair["high"] < 0
    assert pair["p_value"] < 0.01


def test_a_confirmed_score_stands_before_the_searched_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    confirmed = {"score": 0.42, "interval": [0.4, 0.44], "scores": {METRIC: 0.42}}
    write_best(folder, read_best(folder) | {"confirmed": confirmed})
    row = analysis.compare_runs([analysis.load(folder.path)]).rows.iloc[0]
    assert (row["weighted_f1"], row["low"], row["high"]) == (0.42, 0.4, 0.44)
    assert row["scored"] == "confirmed"
    assert row["accuracy"] > 0  # what was not confirmed is as searched


def confirm(folder: RunFolder, *, rule: str, right: float, seed: int = 0) -> None:
    """Keep a confirmation of the best trial: two folds, in the order of the rows turned round."""
    best, tags = read_best(folder), folder.read_samples()["tag"].dropna()
    random = np.random.default_rng(seed)
    guess = random.integers(3, size=len(tags))
    label = tags.map(SENTIMENTS.names.index).to_numpy()
    said = np.eye(3)[np.where(random.random(len(tags)) < right, label, guess)]
    frame = pd.DataFrame(said[::-1], columns=list(SENTIMENTS.names))
    frame = frame.assign(repeat=0, fold=np.arange(len(tags)) // 30, epoch=2)
    frame["row"] = np.arange(len(tags))[::-1]
    folder.write_confirmation(best["trial"], frame)
    confirmed = {"score": 0.6, "interval": [0.5, 0.7], "scores": {METRIC: 0.6}}
    write_best(folder, best | {"confirmed": confirmed, "decision": {"rule": rule}})


def test_runs_confirmed_on_the_same_folds_are_paired_as_confirmed(tmp_path: Path) -> None:
    # As searched, the first is far better; trained again, the second is.
    lucky = write_run(tmp_path / "lucky", skill=4.0)
    honest = write_run(tmp_path / "honest", skill=0.5)
    confirm(lucky, rule="searched", right=0.1)
    confirm(honest, rule="argmax", right=0.9)
    comparison = analysis.compare_runs([analysis.load(lucky.path), analysis.load(honest.path)])
    (pair,) = comparison.pairs.itertuples(index=False)
    assert pair.scored == "confirmed"
    assert pair.high < 0
    assert any("lucky less honest, as confirmed, on" in note for note in notes(comparison))

    again = honest.read_confirmation(read_best(honest)["trial"])
    honest.write_confirmation(read_best(honest)["trial"], again[::-1])  # other folds
    comparison = analysis.compare_runs([analysis.load(lucky.path), analysis.load(honest.path)])
    (pair,) = comparison.pairs.itertuples(index=False)
    assert pair.scored == "searched"
    assert pair.low > 0


def test_an_interval_is_of_what_the_score_is_of(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", skill=0.5)
    confirm(folder, rule="searched", right=1.0)
    rows = analysis.compare_runs([analysis.load(folder.path)], metric="accuracy").rows
    assert (rows["low"].iloc[0], rows["high"].iloc[0]) == (1, 1)  # of the confirmation: all right
    rows = analysis.compare_runs([analysis.load(folder.path)]).rows
    assert (rows["low"].iloc[0], rows["high"].iloc[0]) == (0.5, 0.7)  # as the search says


def test_a_run_without_a_score_has_a_row_without_scores(runs: list[Run], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "empty")
    write_search(folder, read_search(runs[0].folder) | {"random_backbones": ["text"]})
    comparison = analysis.compare_runs([analysis.load(folder.path), runs[0]], reference=False)
    assert comparison.rows["run"].tolist() == ["weak", "empty"]
    assert comparison.rows.iloc[1][["accuracy", "epochs", "low"]].isna().all()
    assert any(
        "empty: random weights (text); such scores say nothing" in note
        for note in notes(comparison)
    )


def test_runs_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / parent / "clip", trials=1).path for parent in ("a", "b")]
    loaded = [analysis.load(path) for path in (*paths, paths[0])]
    comparison = analysis.compare_runs(loaded, reference=False)
    assert sorted(comparison.rows["run"]) == ["a/clip", "b/clip"]  # the same twice is once
    assert comparison.pairs["run"].tolist() == ["a/clip"]


def test_an_unknown_metric_is_refused_with_the_nearest_first(runs: list[Run]) -> None:
    with pytest.raises(ValueError, match=r"metric must be one of macro_f1, .*, got 'macro'"):
        analysis.compare_runs(runs, metric="macro")


def test_a_score_that_an_older_run_did_not_keep_is_that_of_its_predictions(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "run")
    scores = dict(read_best(folder)["scores"])
    del scores["val_macro_f1"]
    write_best(folder, read_best(folder) | {"scores": scores})
    run = analysis.load(folder.path)
    predicted = run.validated(read_best(folder)["trial"])
    assert predicted is not None
    row = analysis.compare_runs([run], metric="macro_f1").rows.iloc[0]
    assert row["macro_f1"] == predicted.score("macro_f1")
    assert row["low"] < row["macro_f1"] < row["high"]


def test_published_rows_are_the_labs(runs: list[Run]) -> None:
    rows = published().set_index("run")
    assert set(MODELS.values()) <= set(rows.index)
    assert rows.loc["CLIP", "trainable_parameters"] == 21_267_971
    f1 = rows[["f1_positive", "f1_neutral", "f1_negative"]].mean(axis=1)
    pd.testing.assert_series_equal(f1, rows["macro_f1"], atol=2e-4, check_names=False)
    marked = formatted(analysis.compare_runs(runs))["run"]
    assert marked.iloc[3:].str.endswith(" †").all()
    assert not marked.iloc[:3].str.contains("†").any()


@pytest.mark.parametrize("ending", ["md", "csv", "tex", "html"])
def test_a_comparison_is_spelt_as_its_golden_file(runs: list[Run], ending: str) -> None:
    """To renew: delete the golden file, run this test, and look at what it wrote."""
    text = FORMATS[ending](analysis.compare_runs(runs))
    if ending == "html":  # style and script are no part of the table
        text = text[text.index("<main") : text.index("</main>")]
    golden = GOLDEN / f"comparison.{ending}"
    if not golden.exists():
        golden.write_text(text, encoding="utf-8")
        pytest.fail(f"{golden} was missing: look at it and commit it")
    assert text == golden.read_text(encoding="utf-8")


def test_a_runs_name_cannot_write_to_the_page(runs: list[Run]) -> None:
    page = FORMATS["html"](analysis.compare_runs(runs))
    assert "strong_&lt;b&gt;" in page
    assert "strong_<b>" not in page
