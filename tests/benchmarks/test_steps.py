from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.coffee import frozen_words, inside_trials
from tests.benchmarks.steps import LAST, Step, steps_between

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_takes_from_the_end_of_the_one_before() -> None:
    ends = {"b": 15.0, "a": 12.0, LAST: 20.0}  # in any order
    spent = {11.0: 1.0, 13.0: 5.0, 15.0: 6.0, 19.0: 10.0}
    # At 12, half-way between 1 and 5; after the last look nothing more is known.
    assert steps_between(10.0, ends, spent) == [
        Step("a", 2.0, 3.0),
        Step("b", 3.0, 3.0),
        Step(LAST, 5.0, 4.0),
    ]


def test_all_towers_of_the_model_are_frozen_but_for_what_the_user_fixes(tmp_path: Path) -> None:
    words = frozen_words(["--data", "demo", "--trials", "3"], tmp_path)
    assert words[-4:] == ["--fix", "text_unfrozen_layers=0", "--fix", "image_unfrozen_layers=0"]
    words = frozen_words(["--data", "demo", "--fix", "text_unfrozen_layers=1"], tmp_path)
    assert words.count("--fix") == 2
    assert "text_unfrozen_layers=0" not in words


def test_the_time_of_trials_side_by_side_is_parted_among_them() -> None:
    # Two trials of 6 seconds overlap by 2: a trial runs for 10 of 13 seconds; 9 of 12 are epochs.
    parts = inside_trials(13.0, 9.0, [(4.0, 10.0), (0.0, 6.0)])
    assert [part.seconds for part in parts] == pytest.approx([7.5, 2.5, 3.0])
