from __future__ import annotations

from pathlib import Path

import pytest

from trainables.experiment import on_this_node


def test_each_node_fills_in_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SCRATCH", "/fast")
    assert on_this_node(Path("$SCRATCH/cache")) == Path("/fast/cache")
    assert on_this_node(Path("~/cache")) == Path("/home/me/cache")
    assert on_this_node(Path("/data/cache")) == Path("/data/cache")


def test_a_variable_that_a_node_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCRATCH", raising=False)
    with pytest.raises(ValueError, match=r"\$SCRATCH/cache must name variables and homes that"):
        on_this_node(Path("$SCRATCH/cache"))


def test_the_home_of_someone_unknown_is_an_error() -> None:
    with pytest.raises(ValueError, match="~nobody-here/cache must name variables and homes that"):
        on_this_node(Path("~nobody-here/cache"))
