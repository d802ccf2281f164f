"""Reports on other classes than the lab's: colours, figures, tables and words follow the names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

import analysis
from analysis.render.table import to_markdown
from analysis.report.answer import answer
from analysis.report.class_colors import looks_of
from analysis.report.sections import classes_of, sections_of
from tests.analysis.synthetic import write_run
from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named

if TYPE_CHECKING:
    from pathlib import Path

YES_NO = Classes(("no", "yes"))
SEVEN = classes_named(("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"))


def test_sentiments_keep_their_colours_and_shapes() -> None:
    expected = {name: (f"var(--{name})", name) for name in SENTIMENTS.names}
    assert looks_of(SENTIMENTS) == expected
    beside = looks_of(classes_named(("mixed", "Negative", "positive")))
    assert beside["Negative"] == ("var(--negative)", "negative")
    assert beside["mixed"] == ("var(--class-1)", "")


def test_other_classes_take_the_palette_and_the_fallback_is_grey() -> None:
    looks = looks_of(classes_named(("a", "b", "none"), "none"))
    colors = [look.color for look in looks.values()]
    assert colors == ["var(--class-1)", "var(--class-2)", "var(--neutral)"]
    many = [look.color for look in looks_of(Classes(tuple("abcdefghijk"))).values()]
    assert (many[9], many[10]) == ("var(--class-10)", "var(--class-1)"), "then from the first"


@pytest.mark.parametrize("classes", [YES_NO, SEVEN])
def test_a_report_is_of_the_classes_of_its_run(tmp_path: Path, classes: Classes) -> None:
    run = analysis.load(write_run(tmp_path / "run", classes=classes, samples=70).path)
    shown = sections_of(run)
    assert [row["name"] for row in shown["classes"]] == list(classes.names)
    assert {group.truth for group in shown["groups"]} <= {*classes.names}
    names = {drawn.name for drawn in shown["model_figures"]}
    assert ("threshold" in names) is (classes.fallback is not None)
    (scores,) = (drawn for drawn in shown["model_figures"] if drawn.name == "scores")
    lines = {line.name for line in scores.plot.data}
    assert {f"F1 {name}" for name in classes.names} <= lines
    which = "F1 neutral" if classes.fallback_name else "Worst F1"
    assert scores.reading.startswith(f"{which} ends at ")
    found = answer(run)
    assert found is not None
    assert "published" not in {rival.kind for rival in found.rivals}, "of other classes"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[9, 1, 0], [1, 8, 1], [0, 0, 10]], "20 % of the b are missed, most often as a."),
        ([[9, 1, 0], [3, 6, 1], [0, 0, 10]], "40 % of the b are missed, most of them as a."),
        ([[7, 1, 2], [0, 10, 0], [0, 0, 10]], "30 % of the a are missed, most of them as c."),
        ([[10, 0, 0], [0, 10, 0], [0, 0, 10]], "No class is taken for another."),
    ],
)
def test_it_is_told_what_the_fallback_or_the_worst_class_is_taken_for(
    rows: list[list[int]], said: str
) -> None:
    counts = pd.DataFrame(rows, index=list("abc"), columns=list("abc"))
    assert classes_of(counts, "b")["confusion_reading"] == said
    pair = counts.loc[["a", "b"], ["a", "b"]]
    words = classes_of(pair, None)["confusion_reading"]
    assert "most" not in words, "there is one other"


def test_runs_are_compared_by_the_scores_of_all_their_classes(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / "two", classes=YES_NO),
        write_run(tmp_path / "seven", classes=SEVEN, samples=70),
    ]
    found = analysis.compare_runs([analysis.load(folder.path) for folder in folders])
    assert found.compared[:3] == ("f1_no", "f1_yes", "f1_anger")
    assert found.compared[-4:] == ("accuracy", "macro_f1", "weighted_f1", "worst_f1")
    assert set(found.rows["kind"]) == {"run"}, "what was published is of the lab's classes"
    rows = found.rows.set_index("run")
    assert rows["f1_joy"].notna().to_dict() == {"seven": True, "two": False}
    assert rows["worst_f1"].notna().to_dict() == {"seven": False, "two": True}
    assert "| F1 surprise |" in to_markdown(found)
    worst = analysis.compare_runs([analysis.load(folders[0].path)], metric="worst_f1")
    assert worst.rows["low"].notna().all()
