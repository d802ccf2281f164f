"""Places of a cut: equal names exactly where the frozen part is the same."""

from __future__ import annotations

from trainables.modules.blocks.cut import Cut


def test_pooling_is_part_of_the_place_only_where_nothing_trains() -> None:
    assert Cut(2, "cls").place == Cut(2, "mean").place == "before the last 2"
    assert Cut(0, "cls").place == "pooled by cls"
    assert Cut(0, "mean").place == "pooled by mean"


def test_one_cut_stands_for_all_of_the_same_frozen_part() -> None:
    assert Cut(2, "mean").prefix == Cut(2, "cls").prefix == Cut(2)
    assert Cut(0, "mean").prefix == Cut(0, "mean")


def test_cuts_are_ordered_by_what_trains() -> None:
    assert sorted([Cut(2), Cut(0, "mean"), Cut(1), Cut(0)]) == [
        Cut(0, "cls"),
        Cut(0, "mean"),
        Cut(1),
        Cut(2),
    ]
