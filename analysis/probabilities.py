"""The probabilities that a search keeps, from which every decision can be made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.files import read_parquet, write_parquet
from analysis.paths import RunPaths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

CLASSES = ("positive", "neutral", "negative")
"""The probability columns, in the order of every probability array."""


class KeptProbabilities(RunPaths):
    """Reads and writes the Parquet files of a run folder.

    Every reader raises `ResultsError` for a file that is missing, and says which.
    """

    def write_trial_probabilities(
        self,
        trial: int,
        rows: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        branches: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        """Write the out-of-fold probabilities of a trial's best epoch so far.

        Args:
            trial: The trial's number, from 0.
            rows: Indices of labelled samples, shape (V,), int64.
            probabilities: Class probabilities, shape (V, 3), float32.
            branches: The same of each branch, where the model has several.
        """
        frame = pd.DataFrame(probabilities, columns=list(CLASSES))
        frame.insert(0, "row", rows)
        for branch, values in (branches or {}).items():
            frame[[f"{branch}_{name}" for name in CLASSES]] = values
        write_parquet(self.trial_probabilities(trial), frame)

    def read_trial_probabilities(self, trial: int) -> pd.DataFrame:
        """Read the out-of-fold probabilities of a trial's best epoch.

        Args:
            trial: The trial's number, from 0.

        Returns:
            Columns `row`, `positive`, `neutral`, `negative`; of a model with several branches
            also `BRANCH_positive` and so on of each.
        """
        path = self.trial_probabilities(trial)
        return read_parquet(path, f"trial {trial} has reported no epoch")

    def write_confirmation(self, trial: int, frame: pd.DataFrame) -> None:
        """Write what a config said out of fold when it was trained again.

        Args:
            trial: The trial's number, from 0.
            frame: Columns as `RunPaths.confirmation` says.
        """
        write_parquet(self.confirmation(trial), frame)

    def read_courses(self, trial: int) -> pd.DataFrame:
        """Read what a config said out of fold after every epoch when it was trained again.

        Args:
            trial: The trial's number, from 0.

        Returns:
            Columns as `RunPaths.confirmation` says.
        """
        return read_parquet(self.confirmation(trial), f"trial {trial} was not confirmed")

    def read_confirmation(self, trial: int) -> pd.DataFrame:
        """Read what a config said out of fold when it was trained again, at its chosen epochs.

        Args:
            trial: The trial's number, from 0.

        Returns:
            Columns as `RunPaths.confirmation` says, one row per validation; an older run kept no
            others.
        """
        frame = self.read_courses(trial)
        if "chosen" not in frame:
            return frame
        kept = frame[frame["chosen"]].drop(columns="chosen")
        return kept.sort_values("fold", kind="stable", ignore_index=True)

    def write_told(self, frame: pd.DataFrame) -> None:
        """Write what the confirmed score is of.

        Args:
            frame: Columns as `RunPaths.told` says.
        """
        write_parquet(self.told, frame)

    def read_told(self) -> pd.DataFrame:
        """Read what the confirmed score is of.

        Returns:
            Columns as `RunPaths.told` says.
        """
        return read_parquet(self.told, "no config was confirmed, or by an older version")

    def write_floor(self, frame: pd.DataFrame) -> None:
        """Write what the logistic regression said out of fold.

        Args:
            frame: Columns as `RunPaths.floor` says.
        """
        write_parquet(self.floor, frame)

    def read_floor(self) -> pd.DataFrame:
        """Read what the logistic regression said out of fold.

        Returns:
            Columns as `RunPaths.floor` says.
        """
        return read_parquet(self.floor, "this search had no floor")

    def write_test_probabilities(
        self, trial: int, guids: Sequence[str], probabilities: NDArray[np.float32]
    ) -> None:
        """Write what a confirmed config says of the unlabelled samples.

        Args:
            trial: The trial's number, from 0.
            guids: The samples' names, in the order of their list.
            probabilities: Mean class probabilities over its folds, shape (U, 3), float32.
        """
        frame = pd.DataFrame(probabilities, columns=list(CLASSES))
        frame.insert(0, "guid", pd.Series(list(guids), dtype="str"))
        write_parquet(self.test_probabilities(trial), frame)

    def read_test_probabilities(self, trial: int) -> pd.DataFrame:
        """Read what a confirmed config says of the unlabelled samples.

        Args:
            trial: The trial's number, from 0.

        Returns:
            Columns `guid` (text), `positive`, `neutral`, `negative`.
        """
        return read_parquet(self.test_probabilities(trial), f"trial {trial} was not confirmed")
