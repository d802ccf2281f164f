from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from search.config.default_folder import own_folder, take
from search.config.settings import parse
from search.errors import SettingsError

UNMADE = r"--out must be a folder that can be made, got .*runs"
ASKED = parse(["--model", "clip"])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_searches_that_begin_at_once_have_folders_of_their_own() -> None:
    with own_folder(ASKED) as one, own_folder(ASKED) as other:
        assert one.out is not None
        assert other.out is not None
        assert one.out != other.out
        assert one.out.parent == other.out.parent == Path("runs")


def test_a_name_is_taken_once_whoever_asks_at_the_same_moment() -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, [Path("runs/clip-1")] * 8))
    numbered = [f"clip-1-{number}" for number in range(2, 9)]
    assert sorted(folder.name for folder in taken) == ["clip-1", *numbered]


def test_a_folder_that_nothing_came_into_goes_again() -> None:
    with pytest.raises(SettingsError), own_folder(ASKED):
        raise SettingsError
    assert not Path("runs").exists()
    with own_folder(ASKED) as settings:
        assert settings.out is not None
        (settings.out / "search.json").touch()
    assert settings.out.exists()


@pytest.mark.parametrize("words", ["--out here", "--show-space", "--dry-run"])
def test_no_folder_is_made_where_none_is_needed(words: str) -> None:
    with own_folder(parse(["--model", "clip", *words.split()])):
        assert list(Path().iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match=UNMADE):
        take(Path("runs/clip-1"))


def test_a_file_in_the_way_is_told_in_one_line() -> None:
    Path("runs").touch()
    with pytest.raises(SettingsError, match=UNMADE):
        take(Path("runs/clip-1"))
