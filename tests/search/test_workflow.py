"""What a search holds fixed before any work: its data, read as asked, and its folds."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from search.plan import make_plan
from search.settings import parse
from search.workflow import prepare
from trainables.data.sample import TAGS

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.experiment import Experiment

COUNT = 30


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Thirty texts without images, ten of each class."""
    rows = [[f"{n:02d}", f"text number {n}", TAGS[n % 3]] for n in range(COUNT)]
    path = tmp_path / "texts.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["guid", "text", "tag"], *rows])
    return path


def prepared(words: str) -> Experiment:
    model = "--model late_fusion --backbone text=tiny --modality text "
    return prepare(make_plan(parse((model + words).split())))


def test_a_search_of_texts_wants_no_images(table: Path, tmp_path: Path) -> None:
    experiment = prepared(f"--data {table} --out {tmp_path / 'run'}")
    assert {sample.image for sample in experiment.corpus.samples} == {None}
    assert len(experiment.folds[0].val) == COUNT // 5


def test_the_demo_data_lose_what_is_not_read(tmp_path: Path) -> None:
    experiment = prepared(f"--data demo --cache {tmp_path} --out {tmp_path / 'run'}")
    assert {sample.image for sample in experiment.corpus.samples} == {None}


def test_the_encoding_that_was_found_goes_with_the_model(table: Path, tmp_path: Path) -> None:
    table.write_bytes(table.read_text().replace("text number", "“so”…").encode("gb18030"))
    found = prepared(f"--data {table} --out {tmp_path / 'run'}")
    assert found.inputs.encoding == "gb18030"
    asked = prepared(f"--data {table} --out {tmp_path / 'run'} --encoding cp1252")
    assert asked.inputs.encoding == "cp1252"
    assert "read as such" in " ".join(asked.corpus.notes)
