"""Every fusion of the chosen trial is scored from what it kept, and the best ones are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from analysis.run_folder.folder import RunFolder
from search.console.summary import fusion_rows
from search.selection.fusions import write_fusions
from tests.analysis.synthetic import CHOSEN
from tests.records import best_of
from trainables.data.sample import Fold

if TYPE_CHECKING:
    from pathlib import Path

TEXT = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]], dtype=np.float32)
IMAGE = np.array([[0.3, 0.2, 0.5], [0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], dtype=np.float32)
LABELS = np.array([9, 0, 9, 2, 9, 2])
ROWS = np.array([1, 3, 5])
FOLDS = [Fold(np.array([3, 5]), np.array([1])), Fold(np.array([1]), np.array([3, 5]))]
BEST = best_of(
    **CHOSEN | {"objective": "val_accuracy", "trial": 4, "params": {"neutral_threshold": 0.3}}
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_fusions_are_scored_on_the_rows_that_were_validated(folder: RunFolder) -> None:
    folder.write_trial_probabilities(4, ROWS, TEXT, {"text": TEXT, "image": IMAGE})
    write_fusions(folder, BEST, LABELS, FOLDS)
    table = folder.read_fusions()
    # Right on all three: the vote. Text alone errs on the last, the image on the first two; the
    # last two are one fold.
    assert table["accuracy"].iloc[[0, 1, -2]].tolist() == pytest.approx([1, 1 / 4, 3 / 4])
    rows = fusion_rows(folder)
    assert rows["by vote"]["val_accuracy"] == 1
    (nested,) = (name for name in rows if name.endswith(", nested"))
    assert rows[nested]["val_accuracy"] == table["accuracy"].iloc[-1]


def test_a_table_of_pooled_folds_is_not_put_beside_means(folder: RunFolder) -> None:
    folder.write_trial_probabilities(4, ROWS, TEXT, {"text": TEXT, "image": IMAGE})
    write_fusions(folder, BEST, LABELS, FOLDS)
    folder.write_fusions(folder.read_fusions().drop(columns="chosen"))
    assert fusion_rows(folder) == {}


def test_a_model_without_branches_has_no_other_fusions(folder: RunFolder) -> None:
    folder.write_trial_probabilities(4, ROWS, TEXT)
    write_fusions(folder, BEST, LABELS, FOLDS)
    assert not folder.fusions.exists()
    assert fusion_rows(folder) == {}
