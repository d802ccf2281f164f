"""Signals that ask a search to end: the first is obeyed in peace, an impatient one at once."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from search import interrupts
from search.tune.stopper import INTERRUPTED, SearchStopper

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _hang_up_heard() -> Iterator[None]:
    """Hear SIGHUP, which is ignored where the tests were started by `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("kind", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_first_signal_raises_and_no_other_disturbs_what_cleans_up(
    kind: str, code: int
) -> None:
    before = [signal.getsignal(each) for each in KINDS]
    with interrupts.handled():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.Signals[kind])
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.exit_code() == code
    assert [signal.getsignal(each) for each in KINDS] == before


def test_trials_are_asked_to_end_and_not_torn() -> None:
    stopper = SearchStopper(math.inf)
    with interrupts.handled(), stopper.listening():
        signal.raise_signal(signal.SIGTERM)
        assert stopper.stop_all()
        assert stopper.reason == INTERRUPTED
        signal.raise_signal(signal.SIGTERM)  # `timeout` sends it to the group, too


def test_a_second_ctrl_c_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    with interrupts.handled(), interrupts.ending_gently(lambda: None):
        interrupts.say_at_once(lambda: "; and more")
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
    assert left == [130]
    assert capfd.readouterr().err == "error: interrupted at once; and more\n"
    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)  # another command begins anew


def test_a_library_that_is_torn_down_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "_exit", lambda _: None)
    with interrupts.only_our_words():
        os.write(2, b"a page of logs")
        interrupts.leave_at_once("in a hurry", 130)
    os.write(2, b"the end")
    assert capfd.readouterr().err == "error: in a hurry\nthe end"


def test_a_signal_is_handled_though_a_library_leaves_it_to_the_system() -> None:
    # Ray's core does so in C, where Python does not see it. Unhandled, it would end the tests.
    to_the_system = ctypes.CDLL(None).signal
    to_the_system.restype, to_the_system.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_int, ctypes.c_void_p],
    )
    timer, ended = signal.getitimer(signal.ITIMER_REAL), []

    def tear_down() -> None:
        with interrupts.torn_down():
            to_the_system(signal.SIGTERM, None)
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            ended.append("in peace")

    with interrupts.handled():
        with pytest.raises(KeyboardInterrupt):
            tear_down()
        assert interrupts.exit_code() == 143
        with interrupts.torn_down():  # as a clean-up after the signal, which raises once
            ended.append("cleaned up")
    assert ended == ["in peace", "cleaned up"]
    assert signal.getitimer(signal.ITIMER_REAL) == pytest.approx(timer, abs=5)


def test_what_does_not_end_after_a_while_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(interrupts, "_SECONDS_FOR_A_GOOD_END", -1)
    with interrupts.handled(), interrupts.ending_gently(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert left == [143]


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.handled():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
