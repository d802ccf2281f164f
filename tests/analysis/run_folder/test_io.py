from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.run_folder.io import (
    DamageError,
    read_csv,
    spreadsheet_safe,
    write_csv,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        '=HYPERLINK("http://evil","x")',
        "@SUM(A1)",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "\t=1",
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_becomes_text_where_that_is_asked(
    tmp_path: Path, cell: str
) -> None:
    assert spreadsheet_safe(cell) == f"'{cell}"
    path = tmp_path / "t.csv"
    write_csv(path, pd.DataFrame({"guid": [cell], "tag": ["positive"]}))
    assert pd.read_csv(path)["guid"].tolist() == [cell], "a table holds what was put in"


@pytest.mark.parametrize(
    "cell", ["007", "-5", "+1.5", "-abc_1", "it's", "'tis", "'=1", "", "a=b", 3, -1]
)
def test_other_cells_stay_as_they_are(cell: Any) -> None:
    assert spreadsheet_safe(cell) == cell


@settings(max_examples=100, deadline=None)
@given(
    cells=st.lists(
        st.text(st.sampled_from("'=+-@ab1 ,\"\té"), max_size=6).filter(str.strip), min_size=1
    )
)
def test_text_survives_a_table(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write_csv(path, pd.DataFrame({"guid": cells}))
    assert read_csv(path, "", text=("guid",))["guid"].tolist() == cells


def test_a_full_disk_leaves_the_old_table_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, pd.DataFrame({"a": [1]}))
    before = path.read_bytes()

    def full(_: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_csv(path, pd.DataFrame({"a": [2]}))
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"a": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("write", [write_csv, write_json, write_text])
def test_a_folder_in_the_place_of_a_file_is_refused_by_name_and_kept(
    tmp_path: Path, write: Callable[[Path, Any], None]
) -> None:
    path = tmp_path / "index.json"
    (path / "inside").mkdir(parents=True)
    content = {write_csv: pd.DataFrame({"a": [1]}), write_json: {}, write_text: ""}[write]
    with pytest.raises(DamageError, match="must be a file to be written, got a folder") as told:
        write(path, content)
    assert str(path) in str(told.value)
    assert [p.name for p in path.iterdir()] == ["inside"]
