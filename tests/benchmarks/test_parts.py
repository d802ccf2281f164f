"""What a part of a search is worth is judged on folds that did not select without it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.benchmarks.parts import Candidate, nested, parts_of
from trainables.evaluation.ensembling import Members


def candidate(*, is_trial: bool = True, **params: Any) -> Candidate:
    return Candidate(params, is_trial, np.zeros((0, 3)))


@pytest.mark.parametrize("size", [1, 2])
def test_a_fold_is_predicted_by_what_the_other_folds_select(size: int) -> None:
    labels = np.tile([0, 1, 2], 4)
    parts = np.repeat([0, 1], 6)
    right = np.eye(3)[labels] * 0.8 + 0.1 / 1.5
    wrong = np.roll(right, 1, axis=1)
    of_first, of_second = (np.where(parts[:, None] == part, right, wrong) for part in (0, 1))
    members = Members(np.arange(12), parts, labels, np.stack([of_first, of_second]), np.zeros(2))
    made, count = nested(members, np.arange(12), size, 0)
    assert made.score("weighted_f1") == 0, "each fold is predicted by the one that is wrong there"
    assert count == 1


def test_only_parts_that_some_have_and_others_lack_are_left_out() -> None:
    found = [
        candidate(text_backbone="a", lexicon=True, text_unfrozen_layers=0),
        candidate(text_backbone="a+b", lexicon=True, text_unfrozen_layers=0),
        candidate(is_trial=False, text_backbone="b", lexicon=True),
    ]
    run = cast("Any", SimpleNamespace(search=SimpleNamespace(model="early_fusion")))
    parts = parts_of(run, found)
    assert {name: [keeps(one) for one in found] for name, keeps in parts.items()} == {
        "nothing": [True, True, True],
        "a": [False, False, True],
        "b": [True, False, False],
        "regressions of rung zero": [True, True, False],
        "trials": [False, False, True],
    }
