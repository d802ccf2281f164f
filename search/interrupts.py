"""Ctrl-C, SIGTERM and SIGHUP: the first ends the command cleanly, another Ctrl-C ends it at once.

Only the first raises: what cleans up after it is not interrupted. Batch systems and `timeout` may
send a signal twice. An exception out of a handler can be lost, as in a callback of the garbage
collector: what has not ended after a while is ended.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SECONDS_FOR_A_GOOD_END = 5.0
_SECONDS_FOR_ANY_END = 20.0
_SECONDS_BETWEEN_HANDLERS = 0.01
_KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class _State:
    kinds: tuple[signal.Signals, ...] = ()
    first: signal.Signals | None = None
    since: float = 0.0
    gently: Callable[[], None] | None = None
    last_words: Callable[[], str] = str
    timer: threading.Timer | None = None
    errors: int = 2


_STATE = _State()


@contextmanager
def handled() -> Iterator[None]:
    """Handle the signals that ask a process to end, during a whole command."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.getsignal(kind) for kind in _KINDS}
    _STATE.first, _STATE.gently, _STATE.last_words = None, None, str
    _STATE.kinds = tuple(k for k in _KINDS if before[k] is not signal.SIG_IGN)  # as by nohup
    take_back()
    try:
        yield
    finally:
        _STATE.kinds = ()
        if _STATE.timer is not None:
            _STATE.timer.cancel()
        for kind, handler in before.items():
            signal.signal(kind, handler)


def take_back() -> None:
    """Install our handlers again after a library has replaced or reset them."""
    if threading.current_thread() is threading.main_thread():
        for kind in _STATE.kinds:
            signal.signal(kind, _handle)


@contextmanager
def ending_gently(end: Callable[[], None]) -> Iterator[None]:
    """Let the first signal call `end` from its handler, rather than raise amid the work."""
    _STATE.gently = end
    if _STATE.kinds and _STATE.first is not None:  # it came before, and its exception was lost
        end()
    try:
        yield
    finally:
        _STATE.gently = None


@contextmanager
def put_off() -> Iterator[None]:
    """Run work that no exception may interrupt; a signal during it raises at its end.

    Yields:
        Once, for the work.

    Raises:
        KeyboardInterrupt: If a signal has come.
    """
    with ending_gently(lambda: None):
        yield
    if _STATE.kinds and _STATE.first is not None:
        raise KeyboardInterrupt


@contextmanager
def torn_down() -> Iterator[None]:
    """Handle signals while a library is torn down that stops handling them, as Ray's core.

    Yields:
        Once, for the work, which no exception interrupts.

    Raises:
        KeyboardInterrupt: If a signal has come meanwhile.
    """
    if not _STATE.kinds or threading.current_thread() is not threading.main_thread():
        yield
        return
    came = _STATE.first
    # Only this thread can set handlers, and it is at work: a timer makes it do so in between.
    before = signal.signal(signal.SIGALRM, lambda *_: take_back())
    every = _SECONDS_BETWEEN_HANDLERS
    timer = signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        with ending_gently(lambda: None):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)
        take_back()
    if _STATE.first is not came:
        raise KeyboardInterrupt


@contextmanager
def only_our_words() -> Iterator[None]:
    """Silence libraries on the standard error, as Ray's core while it is torn down.

    Yields:
        Once, for the work; lines of `leave_at_once` are still written.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    _STATE.errors = kept
    try:
        yield
    finally:
        _STATE.errors = 2
        os.dup2(kept, 2)
        os.close(kept)


def say_at_once(words: Callable[[], str]) -> None:
    """Set the function that gives the last line if the process ends at once."""
    _STATE.last_words = words


def last_words() -> str:
    """Return the end of that line, as set by `say_at_once`."""
    return _STATE.last_words()


def exit_code() -> int:
    """Return the exit code of a shell for the signal: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_STATE.first or signal.SIGINT)


def words() -> str:
    """Say in a few words what ended the command."""
    first = _STATE.first or signal.SIGINT
    return "interrupted" if first is signal.SIGINT else f"ended by {first.name}"


def _handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # Python's
    kind = signal.Signals(number)
    if _STATE.first is None:
        _STATE.first, _STATE.since = kind, time.monotonic()
        if _STATE.gently is None:
            _STATE.timer = threading.Timer(_SECONDS_FOR_ANY_END, _leave)
            _STATE.timer.daemon = True
            _STATE.timer.start()
            raise KeyboardInterrupt
        _STATE.gently()
    elif kind is signal.SIGINT or time.monotonic() - _STATE.since > _SECONDS_FOR_A_GOOD_END:
        _leave()


def _leave() -> None:
    leave_at_once(f"{words()} at once{last_words()}", exit_code())


def leave_at_once(line: str, code: int) -> None:
    """End the process without a clean-up: its files are whole, and the search can be resumed."""
    with suppress(OSError):  # no one is there to read it
        if os.isatty(1):
            os.write(1, b"\x1b[?25h\n")  # a live view hides the cursor
        os.write(_STATE.errors, f"error: {line}\n".encode(errors="replace"))
    os._exit(code)
