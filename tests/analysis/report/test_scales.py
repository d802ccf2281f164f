from __future__ import annotations

import pytest

from analysis.report.scales import Mark, Scale

FIRST = Mark("first", "", "chosen", 0.5, 0.4, 0.6, "0.50")
OTHER = Mark("other", "", "own", 0.0, None, None, "0.00")


def test_marks_are_placed_in_percent_of_their_scale() -> None:
    drawn = Scale(0.0, 1.0).drawing([FIRST, OTHER])
    assert drawn["marks"][0] | {"name": ""} == {
        "name": "",
        "note": "",
        "kind": "chosen",
        "score": "0.50",
        "place": 50.0,
        "left": 40.0,
        "width": 20.0,
    }
    assert (drawn["marks"][1]["place"], drawn["marks"][1]["width"]) == (0.0, None)
    assert drawn["band"] == drawn["marks"][0]
    assert Scale(0.0, 1.0).drawing([OTHER])["band"] is None


def test_a_scale_has_room_at_both_ends() -> None:
    scale = Scale.around([FIRST, OTHER])
    assert scale.low == pytest.approx(-0.036)
    assert scale.high == pytest.approx(0.636)
    alone = Scale.around([OTHER])
    assert alone.low < 0 < alone.high


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.43, 0.72, ["0.5", "0.6", "0.7"]),
        (-0.031, 0.012, ["-0.03", "-0.02", "-0.01", "0.00", "0.01"]),
        (0, 30, ["0", "10", "20", "30"]),
    ],
)
def test_ticks_are_round_values(low: float, high: float, texts: list[str]) -> None:
    ticks = Scale(low, high).ticks()
    assert [tick["text"] for tick in ticks] == texts
    assert all(0 <= float(tick["place"]) <= 100 for tick in ticks)
