"""The probabilities that a search keeps, from which every decision can be repeated."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import pandas as pd

from analysis.run_folder.io import DamageError, read_parquet, write_parquet
from analysis.run_folder.paths import RunPaths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trainables.evaluation.classes import Classes


_LARGEST = 1 + 1e-4  # rounding


class KeptProbabilities(RunPaths):
    """Reads and writes the Parquet files of a run folder.

    They have a column for each class of the search, by its name. Every reader raises
    `ResultsError` for a file that is missing or damaged, and says which.
    """

    @property
    @abstractmethod
    def classes(self) -> Classes:
        """The classes of the search."""

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
            probabilities: Class probabilities, shape (V, C), float32.
            branches: The same of each branch, where the model has several.
        """
        frame = pd.DataFrame(probabilities, columns=list(self.classes.names))
        frame.insert(0, "row", rows)
        for branch, values in (branches or {}).items():
            frame[[f"{branch}_{name}" for name in self.classes.names]] = values
        write_parquet(self.trial_probabilities(trial), frame)

    def read_trial_probabilities(self, trial: int) -> pd.DataFrame:
        """Read a trial's probabilities: `row`, one column per class, and any `BRANCH_CLASS`."""
        path = self.trial_probabilities(trial)
        return self._read_probabilities(path, f"trial {trial} has reported no epoch", "row")

    def write_confirmation(self, trial: int, frame: pd.DataFrame) -> None:
        """Write a confirmation after every epoch, columns as `RunPaths.confirmation` says."""
        write_parquet(self.confirmation(trial), frame)

    def read_courses(self, trial: int) -> pd.DataFrame:
        """Read a confirmation after every epoch, columns as `RunPaths.confirmation` says."""
        path = self.confirmation(trial)
        return self._read_probabilities(path, f"trial {trial} was not confirmed", "fold", "row")

    def read_confirmation(self, trial: int) -> pd.DataFrame:
        """Read a confirmation at its chosen epochs, the only ones that older runs kept."""
        frame = self.read_courses(trial)
        if "chosen" not in frame:
            return frame
        kept = frame[frame["chosen"]].drop(columns="chosen")
        return kept.sort_values("fold", kind="stable", ignore_index=True)

    def write_reported(self, frame: pd.DataFrame) -> None:
        """Write the predictions of the confirmed score, columns as `RunPaths.reported` says."""
        write_parquet(self.reported, frame)

    def read_reported(self) -> pd.DataFrame:
        """Read the predictions of the confirmed score, columns as `RunPaths.reported` says."""
        missing = "no config was confirmed, or by an older version"
        return self._read_probabilities(self.reported, missing, "fold", "row", "decided")

    def write_baseline(self, frame: pd.DataFrame) -> None:
        """Write the logistic regression's out-of-fold probabilities."""
        write_parquet(self.baseline, frame)

    def read_baseline(self) -> pd.DataFrame:
        """Read the logistic regression's out-of-fold probabilities."""
        return self._read_probabilities(
            self.baseline, "this search had no baseline", "fold", "row"
        )

    def write_rung_zero_probabilities(self, frame: pd.DataFrame) -> None:
        """Write rung zero's probabilities, columns as `RunPaths.rung_zero_probabilities` says."""
        write_parquet(self.rung_zero_probabilities, frame)

    def read_rung_zero_probabilities(self) -> pd.DataFrame:
        """Read rung zero's probabilities, columns as `RunPaths.rung_zero_probabilities` says."""
        missing = "this search had no rung zero"
        return self._read_probabilities(
            self.rung_zero_probabilities, missing, "combination", "fold", "row"
        )

    def write_ensemble(self, frame: pd.DataFrame) -> None:
        """Write an ensemble's predictions, columns as `RunPaths.ensemble` says."""
        write_parquet(self.ensemble, frame)

    def read_ensemble(self) -> pd.DataFrame:
        """Read an ensemble's predictions, columns as `RunPaths.ensemble` says."""
        return self._read_probabilities(
            self.ensemble, "no ensemble was confirmed", "fold", "row", "decided"
        )

    def write_member_regressions(self, frame: pd.DataFrame) -> None:
        """Write predictions of its regressions, columns as `RunPaths.member_regressions` says."""
        write_parquet(self.member_regressions, frame)

    def read_member_regressions(self) -> pd.DataFrame:
        """Read predictions of its regressions, columns as `RunPaths.member_regressions` says."""
        missing = "no regression is in the ensemble"
        return self._read_probabilities(
            self.member_regressions, missing, "combination", "fold", "row"
        )

    def write_test_probabilities(
        self, trial: int, guids: Sequence[str], probabilities: NDArray[np.float32]
    ) -> None:
        """Write a config's probabilities of the unlabelled samples, shape (U, C), float32."""
        frame = pd.DataFrame(probabilities, columns=list(self.classes.names))
        frame.insert(0, "guid", pd.Series(list(guids), dtype="str"))
        write_parquet(self.test_probabilities(trial), frame)

    def read_test_probabilities(self, trial: int) -> pd.DataFrame:
        """Read a config's predictions: `guid` (text), and each class."""
        path = self.test_probabilities(trial)
        found = self._read_probabilities(path, f"trial {trial} was not confirmed")
        if "guid" not in found.columns:
            raise DamageError(path, "must have the column guid, got none such")
        return found

    def _read_probabilities(self, path: Path, missing: str, *indices: str) -> pd.DataFrame:
        """Read class probabilities, and check that index columns are in range."""
        frame, classes = read_parquet(path, missing), self.classes.names
        numbers = frame.select_dtypes("number")
        lacking = [name for name in (*indices, *classes) if name not in numbers.columns]
        if lacking:
            raise DamageError(path, f"must have numbers in {', '.join(lacking)}, got none such")
        for name in indices:
            if not (pd.api.types.is_integer_dtype(numbers[name]) and numbers[name].ge(0).all()):
                raise DamageError(path, f"must have indices from 0 in {name}, got others")
        if "fold" in indices and not numbers["fold"].lt(len(frame)).all():
            raise DamageError(
                path, f"must have a row of each fold, got fold {numbers['fold'].max()}"
            )
        if "decided" in indices and not numbers["decided"].lt(len(classes)).all():
            raise DamageError(path, "must have indices of classes in decided, got others")
        values = numbers[list(classes)]
        if not ((values >= 0) & (values <= _LARGEST)).all(axis=None):
            raise DamageError(path, "must have probabilities in [0, 1], got others")
        return frame
