"""The settings of a run, read back, and what may change when it goes on."""

from __future__ import annotations

import json
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from search.config.plan import make_plan
from search.config.serialization import plain, read_settings, refuse_changes
from search.config.settings import SearchSettings, parse
from search.errors import SettingsError
from tests.analysis.synthetic import SEARCHED

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = (
    "--model early_fusion --data demo --epochs 3 --fix normalize=true --range head_dropout=0:0.4"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder as a search leaves it, and another folder to stand in."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    plan = make_plan(parse([*WORDS.split(), "--out", "run"]))
    store(folder, plan.settings)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return folder


def refused(*words: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(list(words))
    return str(caught.value).splitlines()


def test_a_run_gives_all_settings_wherever_one_stands(run: Path) -> None:
    settings = parse(["--resume", str(run)])
    assert settings.model == "early_fusion"
    assert settings.tuning.fix == ("normalize=true",)
    assert settings.tuning.range == ("head_dropout=0:0.4",)
    assert settings.data.path == Path("demo")
    assert settings.data.backbone == ("text=tiny", "image=tiny")
    assert settings.data.image_size == 64
    plan = make_plan(settings)
    assert plan.resumed
    assert plan.folder.path == run


def test_relative_paths_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "train.txt").touch()
    monkeypatch.chdir(tmp_path)
    plan = make_plan(parse(["--model", "early_fusion", "--backbone", "text=tiny", "--data", "."]))
    assert plan.settings.data.path == tmp_path


def test_trials_time_and_place_may_change(run: Path) -> None:
    words = "--trials 80 --time-budget 5m --max-concurrent 1 --address h:1 --trial-timeout 1h"
    words += " --data elsewhere"
    settings = parse(["--resume", str(run), *words.split()])
    assert (settings.trials, settings.time_budget) == (80, "5m")
    assert settings.data.path == Path("elsewhere")
    assert settings.resources.max_concurrent == 1


def test_every_other_change_is_refused_by_name(run: Path) -> None:
    words = "--epochs 4 --seed 1 --metric val_loss --cache-dtype float32 --fix schedule=cosine"
    assert refused("--resume", str(run), *words.split()) == [
        "--seed must stay as the search was begun with, 0, got 1",
        "--metric must stay as the search was begun with, val_weighted_f1, got val_loss",
        "--epochs must stay as the search was begun with, 3, got 4",
        "--fix must stay as the search was begun with, normalize=true, got normalize=true"
        " schedule=cosine",
        "--cache-dtype must stay as the search was begun with, float16, got float32",
    ]
    assert refused("--resume", str(run), "--model", "clip")[0].startswith("--model must stay")


def test_what_is_said_again_is_no_change(run: Path) -> None:
    words = "--model early_fusion --data demo --epochs 3 --fix normalize=true --out"
    again = parse(["--resume", str(run), *words.split(), str(run)])
    assert again.tuning.epochs == 3


def test_a_folder_without_a_search_is_refused(run: Path) -> None:
    assert refused("--resume", str(run.parent)) == [
        f"--resume must be the folder of a search, got {run.parent}, which has no search.json"
    ]


def test_settings_that_this_version_lacks_are_refused(run: Path) -> None:
    path = run / "search.json"
    record = json.loads(path.read_text())
    record["settings"]["tuning"]["epoch"] = 3
    path.write_text(json.dumps(record))
    (message,) = refused("--resume", str(run))
    assert message.endswith("no setting is called 'epoch'; did you mean 'epochs'?")


def test_a_damaged_record_is_refused(run: Path) -> None:
    (run / "search.json").write_text("{")
    with pytest.raises(SettingsError, match=r"search\.json must be JSON"):
        read_settings(SearchSettings, run)


def test_a_run_that_was_moved_goes_on_where_it_is(run: Path, tmp_path: Path) -> None:
    run.rename(tmp_path / "moved")
    plan = make_plan(parse(["--resume", "../moved"]))
    assert plan.folder.path.resolve() == tmp_path / "moved"


def test_what_comes_after_the_trials_may_change_and_be_made_up_for(tmp_path: Path) -> None:
    begun = parse([*WORDS.split(), "--no-retrain"])
    store(tmp_path, begun)
    words = "--retrain --confirm 2 --final folds --final-seeds 3"
    selection = parse(["--resume", str(tmp_path), *words.split()]).selection
    assert (selection.retrain, selection.confirm, selection.final) == (True, 2, "folds")


def test_a_run_that_ships_goes_on_to_ship(run: Path) -> None:
    assert refused("--resume", str(run), "--no-retrain") == [
        "--no-retrain must be left out, as the search was begun without: it ships"
    ]


def test_settings_alike_are_no_change() -> None:
    settings = parse(WORDS.split())
    refuse_changes(settings, settings)


def test_every_setting_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    """Each with each value that its type allows, one after the other and all of them at once."""
    start = whole = parse(["--model", "early_fusion"])
    for path, values in every_setting(SearchSettings):
        for value in values:
            store(tmp_path, changed(start, path, value))
            assert read_settings(SearchSettings, tmp_path) == changed(start, path, value), path
        whole = changed(whole, path, values[-1])
    store(tmp_path, whole)
    found = read_settings(SearchSettings, tmp_path)
    assert found == whole
    refuse_changes(found, whole)


def test_runs_to_begin_with_are_no_change_when_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begun = parse([*WORDS.split(), "--warm-start", "old", "--warm-start", "/older"])
    store(tmp_path, begun)
    again = parse(["--resume", str(tmp_path), "--warm-start", str(tmp_path / "old")])
    assert set(again.tuning.warm_start) >= {Path("old"), Path("/older")}
    assert all(isinstance(run, Path) for run in again.tuning.warm_start)


def store(folder: Path, settings: SearchSettings) -> None:
    record = SEARCHED | {"settings": plain(settings)}
    (folder / "search.json").write_text(json.dumps(record))


def every_setting(kind: Any) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Name the settings by their path, with values that their types allow."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from (((name, *path), values) for path, values in every_setting(hint))
        else:
            yield (name,), list(values_of(hint))


def values_of(hint: Any) -> Iterator[Any]:
    examples = {bool: (False, True), int: (7,), float: (1.25, 2.0), str: ("a b",)}
    if hint in examples:
        yield from examples[hint]
    elif hint is Path:
        yield from (Path("a b/c"), Path("/x"))
    elif get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_origin(hint) is tuple:
        one = tuple(values_of(get_args(hint)[0]))
        yield from ((), one)
    elif hint is type(None):
        yield None
    else:
        assert get_origin(hint) in {Union, UnionType}, hint
        yield from (value for each in get_args(hint)[::-1] for value in values_of(each))


def changed(settings: Any, path: tuple[str, ...], value: Any) -> Any:
    name, *rest = path
    inner = changed(getattr(settings, name), tuple(rest), value) if rest else value
    return replace(settings, **{name: inner})
