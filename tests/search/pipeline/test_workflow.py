"""What a search holds fixed before any work: its data, read as asked, and its folds."""

from __future__ import annotations

import csv
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.search_record import Hardware
from search.cluster.resources import TrialResources
from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import SettingsError
from search.pipeline import workflow
from search.pipeline.run_record import search_record
from search.pipeline.workflow import prepare
from tests.records import read_search, write_search
from trainables.data.corpus import Spelling, load_corpus
from trainables.data.encodings import Decoder
from trainables.data.splits import SplitError
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.experiment import Experiment

COUNT = 30
TEXTS = "--model late_fusion --backbone text=tiny --modality text"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Thirty texts without images, ten of each class."""
    rows = [[f"{n:02d}", f"text number {n}", SENTIMENTS.names[n % 3]] for n in range(COUNT)]
    path = tmp_path / "texts.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["guid", "text", "tag"], *rows])
    return path


def prepared(words: str) -> Experiment:
    return prepare(make_plan(parse(f"{TEXTS} {words}".split())))


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


def test_what_many_pairs_share_is_noted(table: Path, tmp_path: Path) -> None:
    rows = table.read_text().splitlines()
    rows[1:21] = [f"{n},no text,{SENTIMENTS.names[n % 3]}" for n in range(20)]
    table.write_text("\n".join(rows))
    experiment = prepared(f"--data {table} --out {tmp_path / 'run'}")
    (note,) = experiment.corpus.notes
    assert note.startswith("20 of 30 labelled pairs share one text 'no text' (as 0): taken for")
    assert (
        prepared(f"--data {table} --out {tmp_path / 'run'} --split stratified").corpus.notes == ()
    )


def test_the_score_of_a_class_that_no_pair_has_is_not_searched_for(
    table: Path, tmp_path: Path
) -> None:
    table.write_text(table.read_text().replace("neutral", "negative"))
    words = f"--data {table} --out {tmp_path / 'run'} --metric"
    with pytest.raises(SettingsError) as error:
        prepared(f"{words} val_f1_neutral")
    assert str(error.value) == (
        "--metric must be of a class that the data have, such as val_f1_positive or"
        " val_f1_negative, got val_f1_neutral: no labelled pair is neutral"
    )
    assert prepared(f"{words} val_f1_negative").metric == "val_f1_negative"


@pytest.fixture
def begun(table: Path, tmp_path: Path) -> Path:
    """The folder of a search on the table, as it is before the first trial."""
    folder = tmp_path / "run"
    plan = make_plan(parse((f"{TEXTS} --data {table} --out {folder}").split()))
    experiment = prepare(plan)
    record = search_record(plan, experiment.corpus, experiment.folds, Hardware(), {})
    plan.folder.write_search(record)
    return folder


def test_data_that_were_moved_are_searched_where_they_are(
    begun: Path, table: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "other.csv"
    moved.parent.mkdir()
    table.rename(moved)
    with pytest.raises(SettingsError, match=r"--data must say where .* now: there is no .*texts"):
        prepare(make_plan(parse(["--resume", str(begun)])))
    words = ["--resume", str(begun), "--data", str(moved)]
    plan = make_plan(parse(words))
    assert len(prepare(plan).corpus.labelled) == COUNT
    record = search_record(plan, *_of(prepare(plan)), Hardware(), {})
    assert record.settings.everything["data"]["path"] == str(moved)
    moved.write_text(moved.read_text().replace("number 7", "number seven"))
    with pytest.raises(SettingsError, match="--data must be those that the search was begun with"):
        prepare(make_plan(parse(words)))


def prepared_nodes(monkeypatch: pytest.MonkeyPatch, words: str, said: dict[str, Any]) -> Any:
    """Prepare a search, to which a description is given; return its record and what was asked."""
    plan, asked = make_plan(parse(words.split())), []

    def describe(experiment: Experiment, params: Any, _: Any) -> dict[str, Any]:
        asked.append((experiment.precision, experiment.frozen_precision, len(params)))
        return {"fingerprints": {}, **said}

    monkeypatch.setattr(workflow, "describe", describe)
    experiment = replace(prepare(plan), cache=None)
    record, chosen = workflow._prepare_nodes(
        plan, experiment, [], TrialResources(1, 0, 1), Console(quiet=True)
    )
    assert chosen.precision in {record.precision.training, "auto"}
    asked.append((chosen.precision, chosen.frozen_precision))
    return record, asked


def test_the_precision_of_a_search_is_chosen_once_and_kept_by_a_resume(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    words = f"{TEXTS} --data {table} --out {folder.path}"
    frozen = {"frozen_precision": "bfloat16", "frozen_speedup": 3.5}
    said = {"precision": "bfloat16", "speedup": 2.5, **frozen}
    record, asked = prepared_nodes(monkeypatch, words, said)
    (precision, of_frozen, cuts), chosen = asked
    assert (precision, of_frozen, chosen) == ("auto", "auto", ("bfloat16", "bfloat16"))
    assert cuts > 0
    folder.write_search(record)
    kept = {
        "training": "bfloat16",
        "activations": "bfloat16",
        "speedup": 2.5,
        "activations_speedup": 3.5,
    }
    assert read_search(folder)["precision"] == kept
    # On a machine where nothing is measured, as it was asked for by name.
    words, said = f"--resume {folder.path}", said | {"speedup": None, "frozen_speedup": None}
    record, asked = prepared_nodes(monkeypatch, words, said)
    assert asked == [("bfloat16", "bfloat16", 0), ("bfloat16", "bfloat16")]
    assert asdict(record.precision) == kept


def test_a_search_of_before_there_was_a_choice_goes_on_as_its_device_says(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_search(RunFolder(begun))
    del before["precision"]
    del before["settings"]["resources"]["precision"]
    write_search(RunFolder(begun), before)
    said = dict.fromkeys(("precision", "frozen_precision"), "float32")
    said |= dict.fromkeys(("speedup", "frozen_speedup"), None)
    record, asked = prepared_nodes(monkeypatch, f"--resume {begun}", said)
    # Nothing is measured: the choice is by the device alone.
    assert asked == [("auto", "float32", 0), ("auto", "float32")]
    assert record.precision.training == "float32"


def test_the_precision_may_not_change_when_a_search_goes_on(begun: Path) -> None:
    message = "--precision must stay as the search was begun with, auto, got float32"
    with pytest.raises(SettingsError, match=message):
        parse(["--resume", str(begun), "--precision", "float32"])


def _of(experiment: Experiment) -> tuple[Any, Any]:
    return experiment.corpus, experiment.folds


def test_a_search_that_goes_on_reads_texts_as_it_began(begun: Path, table: Path) -> None:
    lines = table.read_text().splitlines()
    lines[4] = "03,café…,positive"
    table.write_bytes("\n".join(lines).encode("gb18030"))  # one text alone cannot tell
    record = read_search(RunFolder(begun))
    record["data"]["encoding"] = "gb18030"
    record["data"]["digest"] = load_corpus(
        table, modality="text", spelling=Spelling(Decoder("gb18030"))
    ).digest
    write_search(RunFolder(begun), record)
    experiment = prepare(make_plan(parse(["--resume", str(begun)])))
    assert experiment.corpus.labelled[3].text == "café…"


def test_folds_to_confirm_on_that_cannot_be_had_are_told_before_any_work(
    table: Path, tmp_path: Path
) -> None:
    # The lab's split is one of single pairs; what confirms keeps the ten of a text together.
    rows = [f"{n:02d},text {n // 10},{SENTIMENTS.names[n % 3]}" for n in range(COUNT)]
    table.write_text("\n".join(["guid,text,tag", *rows]))
    words = f"--data {table} --out {tmp_path / 'run'} --split lab"
    with pytest.raises(SplitError, match="must have >= 5 samples without duplicates, got 3"):
        prepared(words)
    assert len(prepared(f"{words} --no-retrain").folds) == 1
