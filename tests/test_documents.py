"""What the documentation shows works as typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import analysis
from tests.analysis.synthetic import write_run

if TYPE_CHECKING:
    import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_notebook_examples_run_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "other"):
        write_run(tmp_path / "runs" / name)
    found = BLOCK.findall(str(analysis.__doc__)) + BLOCK.findall(README)
    assert found
    for block in found:
        if "import analysis" in block:
            exec(compile(block, "an example", "exec"), {})


def test_every_picture_of_the_readme_is_there() -> None:
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    folder = Path(__file__).parents[1]
    assert [path for path in shown if not (folder / path).is_file()] == []
