from __future__ import annotations

import errno
import math
import time

import pytest

from search.tune.stopper import TIME_BUDGET, CutOff


def test_a_search_without_limit_is_never_cut_off() -> None:
    cut_off = CutOff(math.inf)
    assert not cut_off.stop_all()
    assert cut_off.reason == ""


def test_a_search_is_cut_off_once_its_time_is_up() -> None:
    cut_off = CutOff(time.monotonic())
    assert cut_off.stop_all()
    assert cut_off.reason == TIME_BUDGET


def test_a_file_that_cannot_be_written_ends_the_search() -> None:
    cut_off = CutOff(math.inf)
    with cut_off.guarding():
        pass
    assert not cut_off.stop_all()
    for name in ("first", "second"):
        with cut_off.guarding():
            raise OSError(errno.ENOSPC, "No space left on device", name)
    assert cut_off.stop_all()
    assert cut_off.fault is not None
    assert cut_off.fault.filename == "first"


def test_faults_of_the_code_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), CutOff(math.inf).guarding():
        raise ZeroDivisionError
