"""Searches on data of two and of seven classes: every stage, and every command on what it left."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score

import analysis
from analysis.compare import main as compare
from analysis.run_folder.folder import RunFolder
from search.config import plan as planning
from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import SettingsError
from search.evaluate import main as evaluate
from search.pipeline.classes import class_faults, with_classes
from search.predict import main as predict
from search.run import main
from search.study.warm_start import WarmStart
from tests.search.command import FROZEN
from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named
from trainables.hyperparameter import FloatRange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from search.config.plan import Plan
    from spaces.space import Space

TINY = "--backbone text=tiny --backbone image=tiny --image-size 32"
QUICK = f"{TINY} {FROZEN} --max-concurrent 1 --epochs 2 --trials 2 --out out"
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
YES_NO = Classes(("no", "yes"))
SEVEN = classes_named(EMOTIONS)


def write_pairs(path: Path, each: int, tags: Mapping[str, str], shown: float = 1.0) -> Path:
    """Write a table of `each` pairs of every tag, and two to be predicted.

    Args:
        path: Where to.
        each: How many of each.
        tags: A word by tag; word and colour both tell the tag, mostly.
        shown: Of how many the colour does.
    """
    random, rows = np.random.default_rng(len(tags)), []
    folder = path.with_suffix("")
    folder.mkdir()
    for number in range(each * len(tags) + 2):
        place = number % len(tags)
        tag, word = list(tags.items())[place]
        pixels = random.integers(0, 90, (24, 24, 3), dtype=np.uint8)
        if shown < 1 and random.random() > shown:
            place = random.integers(len(tags))
        pixels += np.array([place % 2, place // 2 % 2, place // 4], np.uint8) * np.uint8(140)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        said = word if random.random() < 0.8 else "something"
        part = "test" if number % 5 == 4 else "train"
        known = number < each * len(tags)
        row = [number, f"{said} on day {number}", f"{folder.name}/{number}.png"]
        rows.append([*row, tag if known else "", part if known else ""])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["guid", "text", "image", "tag", "split"], *rows])
    return path


def scores_say_the_same(
    folder: RunFolder, data: Path, names: Sequence[str], spelt: Mapping[str, str] | None = None
) -> None:
    """Check that the kept scores, those of evaluate and scikit-learn's of predict are equal.

    Args:
        folder: Of a search or of all models, whose data have a test part.
        data: The data.
        names: The classes.
        spelt: The class of each tag that is spelt otherwise.
    """
    out, again = folder.path / "said.csv", folder.path / "again.json"
    assert evaluate([str(folder.path), "--data", str(data), "--out", str(again)]) == 0
    assert predict([str(folder.path), "--data", str(data), "--out", str(out)]) == 0
    table = pd.read_csv(data, dtype=str)
    said = pd.read_csv(out, dtype=str).set_index("guid")
    assert list(said.columns) == ["tag", *names]
    tested = json.loads(folder.test_scores.read_text())
    evaluated = json.loads(again.read_text())
    assert evaluated["scores"] == pytest.approx(tested["scores"], abs=1e-3)
    kept = folder.read_predictions().set_index("guid")["tag"]
    held = table[table["split"] == "test"].set_index("guid")["tag"]
    truth = held.map(lambda tag: (spelt or {}).get(tag, tag))
    expected = f1_score(truth, kept[held.index], labels=names, average=None, zero_division=0)
    found = [tested["scores"][f"f1_{name}"] for name in names]
    assert found == pytest.approx(expected.tolist())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_two_classes_named_by_tags_are_searched_told_and_predicted(
    tmp_path: Path,
    run: Callable[[str], tuple[int, str, str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = write_pairs(tmp_path / "irony.csv", 30, {"0": "really", "1": "sure"})
    words = f"--model early_fusion --data {data} --tags 0=no,1=yes {QUICK}"
    code, out, errors = run(f"{words} --metric val_worst_f1 --folds 2")
    assert code == 0, errors
    assert "tags are read as classes: 0 as no, 1 as yes" in out
    assert "2 classes: no, yes; the likeliest decides" in out
    assert "worst F1" in out
    folder = RunFolder(tmp_path / "out")
    loaded = analysis.load(folder.path)
    assert loaded.classes == YES_NO
    assert "neutral_threshold" not in loaded.parameters
    assert {"val_worst_f1", "val_f1_no", "val_f1_yes"} <= {*loaded.history.columns}
    worst = loaded.history[["val_f1_no", "val_f1_yes"]].min(axis=1)
    assert (loaded.history["val_worst_f1"] <= worst + 1e-12).all(), "a mean of minima"
    assert loaded.best is not None
    assert loaded.best.decision is not None
    assert (loaded.best.decision.rule, loaded.best.decision.neutral_threshold) == ("argmax", 0)
    scores_say_the_same(folder, data, ["no", "yes"], {"0": "no", "1": "yes"})
    card = (folder.model / "README.md").read_text()
    assert "# early_fusion: no or yes?" in card
    assert "The most probable class. The probabilities that are shown" in card
    report = folder.report.read_text()
    assert "neutral" not in report.split("<script")[0].split("</style>")[1]
    capfd.readouterr()
    assert predict([str(folder.path), "--text", "sure", "--image", f"{tmp_path}/irony/1.png"]) == 0
    shown = capfd.readouterr().out.split()
    assert {"no", "yes"} < {*shown}
    assert compare([str(folder.path), "--metric", "worst_f1"]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_seven_classes_with_a_fallback_are_searched_told_and_predicted(
    tmp_path: Path, run: Callable[[str], tuple[int, str, str]]
) -> None:
    tags = dict(
        zip(EMOTIONS, ("furious", "yuck", "scared", "glad", "so", "sad", "oh"), strict=True)
    )
    data = write_pairs(tmp_path / "emotions.csv", 12, tags)
    code, out, errors = run(f"--model late_fusion --data {data} {QUICK}")
    assert code == 0, errors
    assert "7 classes: anger, disgust, fear, joy, neutral, sadness, surprise; neutral where" in out
    folder = RunFolder(tmp_path / "out")
    loaded = analysis.load(folder.path)
    assert loaded.classes == SEVEN
    thresholds = loaded.trials["config/neutral_threshold"]
    assert thresholds.between(0.3 * 3 / 7, 0.45 * 3 / 7).all()
    assert list(loaded.probabilities.columns) == ["trial", "row", *EMOTIONS]
    assert len(folder.read_fusions()) > 2
    scores_say_the_same(folder, data, EMOTIONS)
    report = folder.report.read_text()
    assert "When to say neutral" in report
    assert "F1 surprise" in report
    card = (folder.model / "README.md").read_text()
    assert "# late_fusion: anger, disgust, fear, joy, neutral, sadness or surprise?" in card
    assert "neutral when the probabilities of all other classes are under 0.1" in card


def plan_of(tmp_path: Path, words: str = "") -> Plan:
    data = tmp_path / "pairs.csv"
    data.write_text("guid,text,image,tag\n")
    command = f"--model early_fusion --data {data} {TINY} --out {tmp_path / 'out'} {words}"
    return make_plan(parse(command.split()))


def test_for_the_labs_classes_the_plan_is_as_it_was(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    fitted = with_classes(plan, SENTIMENTS)
    assert fitted == plan
    assert fitted.space.domains["neutral_threshold"] == FloatRange(0.3, 0.45)
    other = with_classes(plan, classes_named(("cold", "hot", "mild"), "mild"))
    assert other.space.domains == plan.space.domains


def test_without_a_fallback_class_the_threshold_leaves_the_space(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    fitted = with_classes(plan, YES_NO)
    gone = {"neutral_threshold"}
    assert {*plan.space} - {*fitted.space} == {*plan.hand_tuned} - {*fitted.hand_tuned} == gone


def test_the_space_is_shown_as_the_lists_of_the_data_have_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"--model early_fusion {TINY} --show-space --data".split()
    for names, there in ((("no", "yes"), False), (EMOTIONS, True), (SENTIMENTS.names, True)):
        table = tmp_path / f"{len(names)}.csv"
        rows = [f"{n},said,nowhere.jpg,{name}" for n, name in enumerate(names * 5)]
        table.write_text("\n".join(["guid,text,image,tag", *rows]))
        assert main([*words, str(table)]) == 0
        shown = capsys.readouterr().out
        assert ("neutral_threshold" in shown) is there
        assert ("0.192857" in shown) is (names == EMOTIONS), "1.35 of an even share"
    for table, flag, told in (
        ("2.csv", "--fix neutral_threshold=0.4", "--fix neutral_threshold needs a fallback class"),
        ("7.csv", "--range neutral_threshold=0.3:0.4", "draws it in [0.128571, 0.192857] for 7"),
    ):
        assert main([*words, str(tmp_path / table), *flag.split()]) == 2
        assert told in capsys.readouterr().err
    for table, ends in (("7.csv", "0.15:0.16"), ("3.csv", "0.35:0.4"), ("demo", "0.35:0.4")):
        asked = ["--range", f"neutral_threshold={ends}"]
        data = table if table == "demo" else str(tmp_path / table)
        assert main([*words, data, *asked]) == 0
        (line,) = (x for x in capsys.readouterr().out.splitlines() if "neutral_threshold" in x)
        low, high = ends.split(":")
        assert {low, high} <= {*line.split()}


def test_the_threshold_is_drawn_around_an_even_share(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    fitted = with_classes(plan, SEVEN)
    domain = fitted.space.domains["neutral_threshold"]
    assert isinstance(domain, FloatRange)
    assert (domain.low * 7, domain.high * 7) == pytest.approx((0.9, 1.35))
    assert fitted.hand_tuned["neutral_threshold"] == pytest.approx(0.42 * 3 / 7)
    held = with_classes(plan_of(tmp_path, "--fix neutral_threshold=0.2"), SEVEN)
    assert held.hand_tuned["neutral_threshold"] == 0.2


@pytest.mark.parametrize(
    ("classes", "asked", "left"),
    [
        (SEVEN, "0.15:0.16", (0.15, 0.16)),
        (SEVEN, "0:0.15", (0.9 / 7, 0.15)),
        (classes_named(("hot", "neutral")), "0.5:0.6", (0.5, 0.6)),
        (SENTIMENTS, "0.3:0.4", (0.3, 0.4)),
    ],
)
def test_a_range_of_the_threshold_is_cut_from_that_of_the_classes(
    tmp_path: Path, classes: Classes, asked: str, left: tuple[float, float]
) -> None:
    plan = plan_of(tmp_path, f"--range neutral_threshold={asked}")
    assert not list(class_faults(plan, classes))
    fitted = with_classes(plan, classes)
    domain = fitted.space.domains["neutral_threshold"]
    assert isinstance(domain, FloatRange)
    assert (domain.low, domain.high) == pytest.approx(left)
    inside = min(max(0.42 * 3 / len(classes), left[0]), left[1])
    assert fitted.hand_tuned["neutral_threshold"] == pytest.approx(inside)


def test_an_earlier_runs_threshold_is_moved_into_the_range_of_the_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Sequence[Path], space: Space, *__: str) -> tuple[tuple[WarmStart, ...], list[str]]:
        before = space.inside({"neutral_threshold": 0.15})
        return (WarmStart(before, "trial 0 of before"),), []

    monkeypatch.setattr(planning, "warm_starts", read)
    plan = plan_of(tmp_path)
    for classes, threshold in ((SEVEN, 0.15), (SENTIMENTS, 0.3)):
        (warm,) = with_classes(plan, classes).warm_start
        assert warm.params == {"neutral_threshold": threshold}
    (warm,) = with_classes(plan, YES_NO).warm_start
    assert warm.params == {}


@pytest.mark.parametrize(
    ("words", "classes", "told"),
    [
        (
            "--metric val_f1_neutral",
            YES_NO,
            "--metric must be of a class that the data have, such as val_f1_no or val_f1_yes, got"
            " val_f1_neutral: no labelled pair is neutral",
        ),
        ("--metric val_worst_f1", SENTIMENTS, "got val_worst_f1: one of them is the fallback"),
        ("--decision tuned", YES_NO, "--decision tuned needs a fallback class: no class of the"),
        ("--fix neutral_threshold=0.4", YES_NO, "--fix neutral_threshold needs a fallback class"),
        ("--range neutral_threshold=0.3:0.4", YES_NO, "--range neutral_threshold needs a fall"),
        (
            "--range neutral_threshold=0.3:0.45",
            SEVEN,
            "--range neutral_threshold=0.3:0.45 leaves nothing: the space draws it in [0.128571,"
            " 0.192857] for 7 classes",
        ),
        ("--range neutral_threshold=0.1:0.2", SENTIMENTS, "in [0.3, 0.45] for 3 classes"),
    ],
)
def test_what_cannot_go_with_the_classes_is_refused(
    tmp_path: Path, words: str, classes: Classes, told: str
) -> None:
    (fault,) = class_faults(plan_of(tmp_path, words), classes)
    assert told in fault


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--tags 0=no,1", "--tags must be TAG=CLASS,TAG=CLASS,..., got '1'"),
        ("--metric val_recall", "--metric must be a metric of a trial, got 'val_recall'"),
    ],
)
def test_words_that_no_data_can_fit_are_refused_before_the_data_are_read(
    tmp_path: Path, words: str, told: str
) -> None:
    with pytest.raises(SettingsError) as error:
        plan_of(tmp_path, words)
    assert told in str(error.value)


def test_the_demo_has_the_classes_that_it_has(tmp_path: Path) -> None:
    words = f"--model early_fusion --data demo {TINY} --out {tmp_path / 'out'}"
    settings = parse([*words.split(), "--tags", "0=a,1=b", "--fallback-class", "a"])
    with pytest.raises(SettingsError) as error:
        make_plan(settings)
    told = str(error.value)
    assert "--tags must go with --data of your own, got the demo" in told
    assert "--fallback-class must go with --data of your own, got the demo" in told


def test_of_the_demo_a_range_that_leaves_nothing_is_told_with_all_else(tmp_path: Path) -> None:
    words = f"--model early_fusion --data demo {TINY} --out {tmp_path / 'out'} --trials 0"
    with pytest.raises(SettingsError) as error:
        make_plan(parse([*words.split(), "--range", "neutral_threshold=0.1:0.2"]))
    told = str(error.value)
    assert "--range neutral_threshold=0.1:0.2 leaves nothing" in told
    assert "--trials must be" in told
