from __future__ import annotations

import errno
import math
import time

import pytest

from search.tune.stopper import TIME_BUDGET, SearchStopper


def test_a_search_without_limit_is_never_cut_off() -> None:
    stopper = SearchStopper(math.inf)
    assert not stopper.stop_all()
    assert stopper.reason == ""


def test_a_search_is_cut_off_once_its_time_is_up() -> None:
    stopper = SearchStopper(time.monotonic())
    assert stopper.stop_all()
    assert stopper.reason == TIME_BUDGET


def test_a_file_that_cannot_be_written_ends_the_search() -> None:
    stopper = SearchStopper(math.inf)
    with stopper.guarding():
        pass
    assert not stopper.stop_all()
    for name in ("first", "second"):
        with stopper.guarding():
            raise OSError(errno.ENOSPC, "No space left on device", name)
    assert stopper.stop_all()
    assert stopper.fault is not None
    assert stopper.fault.filename == "first"


def test_faults_of_the_code_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), SearchStopper(math.inf).guarding():
        raise ZeroDivisionError
