from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from search.console import live
from search.console.live import LiveView, ViewInfo, clock, ended_line, render, space_table
from search.study.trial import TrialRecord
from spaces import SPACES

INFO = ViewInfo(metric="val_weighted_f1", trials=5, epochs=10)


def records() -> dict[str, TrialRecord]:
    params = {f"name_{n}": 1 / 3 for n in range(9)}
    done = TrialRecord(0, params, hand_tuned=True, scores={1: 0.5, 2: 0.6, 3: 0.55})
    done.fate = "finished"
    failed = TrialRecord(1, params, fate="failed", error="RuntimeError: " + "long " * 40)
    running = TrialRecord(2, params, scores={1: 0.4, 2: 0.3})
    return {"a": done, "b": failed, "c": running}


def drawn(width: int, given: dict[str, TrialRecord], seconds: float = 75) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(render(INFO, given, seconds))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_the_view_shows_counts_the_best_and_every_trial(width: int) -> None:
    lines = drawn(width, records())
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "2/5 trials" in text
    assert "1 running · 1 finished · 0 stopped · 1 failed" in lines
    assert "best val_weighted_f1 0.6000 by trial 0 at epoch 2 (hand-tuned)" in lines
    assert any(line.split()[:5] == ["0", "3/10", "0.5500", "0.6000", "0:00"] for line in lines)
    assert any(line.split()[:4] == ["2", "2/10", "0.3000", "0.4000"] for line in lines)
    assert "failed: RuntimeError: long" in text


def test_the_time_left_follows_from_the_work_done() -> None:
    # 2 ended and 0.9 * 2/10 of one that runs, in 75 s: 75 / 2.18 * 2.82 = 97 s.
    assert any("1:15 · 1:37 left" in line for line in drawn(80, records()))


def test_nothing_is_said_of_the_time_left_before_a_trial_has_ended() -> None:
    text = "\n".join(drawn(80, {"c": records()["c"]}))
    assert "left" not in text
    assert "0/5 trials" in text


def test_a_search_without_trials_can_be_shown() -> None:
    assert "0/5 trials" in drawn(80, {})[0]


def test_an_ended_trial_is_one_line() -> None:
    given = records()
    assert ended_line(INFO, given, given["a"], 1) == (
        "[1/5] trial 0 finished after 3 epochs: val_weighted_f1 0.6000 (best 0.6000, trial 0)"
    )
    given["b"].error = "KeyError: 'x'"
    assert ended_line(INFO, given, given["b"], 2) == (
        "[2/5] trial 1 failed: KeyError: 'x' (best 0.6000, trial 0)"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_times_are_spelt_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_shown_with_its_ranges(name: str) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(space_table(SPACES[name], {"weight_decay": 0.01}))
    assert isinstance(console.file, io.StringIO)
    rows = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert "weight_decay 1e-05 to 0.1, log 0.01" in rows
    assert "batch_size 16, 32, 64" in rows


def test_a_notebook_shows_what_a_terminal_does_and_draws_it_again_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, bundle: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown[-1] = bundle

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        shown.append(bundle)
        return Handle()

    # What a kernel has; Rich, too, asks for it by name.
    notebook = SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    given = records()
    given["c"].fate = None
    view = LiveView(INFO, given)
    console = Console(file=io.StringIO(), force_jupyter=True)
    monkeypatch.setattr(live, "make_console", lambda: console)
    view.setup()
    lines = [line.rstrip() for line in shown[0]["text/plain"].splitlines()]
    assert lines[0].startswith("2/5 trials ")
    assert lines[1:] == drawn(100, given, 0)[1:]  # the first has a bar, which colours fill
    assert "<pre" in shown[0]["text/html"]
    given["c"].scores[3], given["c"].fate = 0.9, "finished"
    view.close()
    assert len(shown) == 1
    assert "best val_weighted_f1 0.9000 by trial 2 at epoch 3" in shown[0]["text/plain"]
    assert not console.file.getvalue()  # type: ignore[attr-defined] # no line besides
