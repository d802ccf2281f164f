from __future__ import annotations

import pytest

from trainables.data.faults import CorpusError, Faults


def test_no_fault_raises_nothing() -> None:
    faults = Faults()
    assert not faults
    faults.raise_any("data")


def test_faults_are_grouped_by_rule_and_cut_after_five() -> None:
    faults = Faults()
    for number in range(7):
        faults.add("guid must be unique", f"got {number}")
    faults.add("image must be whole", "bad\udcff.jpg")
    with pytest.raises(CorpusError) as error:
        faults.raise_any("data")
    assert str(error.value).splitlines() == [
        "data has 8 faults:",
        "- guid must be unique:",
        *(f"    got {number}" for number in range(5)),
        "    and 2 more",
        "- image must be whole:",
        "    bad\\udcff.jpg",
    ]


def test_one_fault_is_singular() -> None:
    faults = Faults()
    faults.add("rule", "example")
    with pytest.raises(CorpusError, match=r"^data has 1 fault:\n- rule:\n    example$"):
        faults.raise_any("data")
