"""Words that several pages and terminals share."""

from __future__ import annotations

from analysis.render.text import chosen_by_others, in_how_many


def test_the_parts_of_a_single_fold_are_not_called_folds() -> None:
    assert f"{chosen_by_others('config', [3, 0, 3])}{in_how_many(3, 'trial 3', [3, 0, 3])}" == (
        "each fold is scored by the config that the other folds choose: trial 3 in 2 of 3"
    )
    assert f"{chosen_by_others('model', [1])}{in_how_many(1, 'clip', [1])}" == (
        "each fifth of the validation pairs is scored by the model that the others choose"
    )
