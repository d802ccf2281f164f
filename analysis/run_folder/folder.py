"""One search on disk: the only owner of the file and column names of a run folder.

A table is written whole under another name and renamed, so that a reader never meets half of one.
Only `history.csv` grows by lines: a line torn by a kill is no row yet, and readers leave it out.
What is written is noted in `digests.csv`, and what is read is compared with it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd

from analysis.run_folder.best_model_record import BestModel
from analysis.run_folder.best_record import Best
from analysis.run_folder.digests import keep_digests, note
from analysis.run_folder.io import (
    DamageError,
    ResultsError,
    append_csv,
    read_bytes,
    read_csv,
    read_json,
    read_parquet,
    write_csv,
    write_json,
    write_parquet,
)
from analysis.run_folder.probabilities import KeptProbabilities
from analysis.run_folder.records import read_record, to_json
from analysis.run_folder.search_record import Search
from analysis.run_folder.stage_record import Stage
from analysis.run_folder.test_record import TestScores
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainables.evaluation.classes import Classes

FATES = ("finished", "stopped", "diverged", "failed", "interrupted")
"""How a trial ends: ran its course, stopped by ASHA, not finite, crashed, cut off by the user."""

CONFIG = "config/"
"""Prefix of the columns of `trials.csv` that hold hyperparameters."""

__all__ = ["CONFIG", "FATES", "ResultsError", "RunFolder"]


class RunFolder(KeptProbabilities):
    """One search on disk: reads and writes what `RunPaths` names.

    Every reader raises `ResultsError` for a file that is missing or damaged, and says which.
    """

    def holds_search(self) -> bool:
        """Return whether there is a `search.json` or a study."""
        return self.search.exists() or self.study.exists()

    def write_search(self, record: Search) -> None:
        """Write the record of the search."""
        keep_digests(self.path)
        write_json(self.search, to_json(record))

    def read_search(self) -> Search:
        """Read the record of the search."""
        record = read_json(self.search, "is this the folder of a search?")
        found = read_record(self.search, record, Search)
        data = found.data
        if data.fallback_class not in {None, *data.classes}:
            rule = f"must have a fallback_class among {', '.join(data.classes)}"
            raise DamageError(self.search, f"{rule}, got {data.fallback_class!r}")
        return found

    @property
    def classes(self) -> Classes:
        """The classes of the search, in the order of all probabilities; at first the lab's."""
        if not self.search.exists():
            return SENTIMENTS
        return _classes_of(self, self.search.stat().st_mtime_ns)

    def write_samples(self, samples: pd.DataFrame) -> None:
        """Write the samples, one row each, in the order of every array: the labelled first."""
        write_parquet(self.samples, samples)

    def read_samples(self) -> pd.DataFrame:
        """Read the samples.

        Returns:
            Row i is sample i: `guid`, `tag` (missing where unlabelled), `text`, `image` (path),
            its `width` and `height`, `group` (index of the first sample that it duplicates).
        """
        return read_parquet(self.samples, "the search ended before it had read its data")

    def write_best(self, record: Best) -> None:
        """Write the chosen config."""
        write_json(self.best, to_json(record))

    def read_best(self) -> Best:
        """Read the chosen config."""
        record = read_json(self.best, "no trial of this search has a score")
        return read_record(self.best, record, Best)

    def write_test_scores(self, record: TestScores) -> None:
        """Write the final model's scores on the labelled test set."""
        write_json(self.test_scores, to_json(record))

    def read_test_scores(self) -> TestScores:
        """Read the final model's scores on the labelled test set."""
        record = read_json(self.test_scores, "the data have no labelled test set")
        return read_record(self.test_scores, record, TestScores)

    def write_best_model(self, record: BestModel) -> None:
        """Write which of several searched models ships."""
        write_json(self.best_model, to_json(record))

    def read_best_model(self) -> BestModel:
        """Read which of several searched models ships."""
        record = read_json(self.best_model, "no model was chosen among several")
        return read_record(self.best_model, record, BestModel)

    def write_stages(self, stages: Mapping[str, Stage]) -> None:
        """Write which stages after the trials are done, by name."""
        write_json(self.stages, to_json(stages))

    def read_stages(self) -> dict[str, Stage]:
        """Read which stages after the trials are done, by name; none where there is no file."""
        if not self.stages.exists():
            return {}
        return read_record(self.stages, read_json(self.stages, ""), dict[str, Stage])

    def read_study(self) -> bytes:
        """Read the journal of the study, which must begin as it was noted."""
        return read_bytes(self.study, f"is {self.path} the folder of a search?")

    def note_study(self) -> None:
        """Note what the journal of the study holds, up to its last whole line."""
        if self.study.is_file():
            content = self.study.read_bytes()
            note(self.study, content[: content.rfind(b"\n") + 1])

    def write_trials(self, trials: pd.DataFrame) -> None:
        """Write the table of ended trials, columns as `schema.TRIALS` says."""
        write_csv(self.trials, trials)

    def read_trials(self) -> pd.DataFrame:
        """Read the table of ended trials.

        Returns:
            One row per trial; `error`, `note` and `fate` are strings, missing numbers are NaN.

        Raises:
            DamageError: If the table is damaged.
        """
        missing = "no trial of this search has ended"
        trials = read_csv(self.trials, missing, text=("fate", "error", "note"))
        if not {"trial", "fate"} <= set(trials.columns):
            raise DamageError(self.trials, "must have the columns trial and fate, got others")
        if len(trials) and not pd.api.types.is_integer_dtype(trials["trial"]):
            raise DamageError(self.trials, "must have numbers of trials, got others")
        return trials

    def append_history(self, row: Mapping[str, object]) -> None:
        """Add one reported epoch, in one write of one line; a new metric adds a column."""
        append_csv(self.history, row)

    def write_history(self, history: pd.DataFrame) -> None:
        """Write the table of epochs whole, one row per trial and epoch."""
        write_csv(self.history, history)

    def read_history(self) -> pd.DataFrame:
        """Read every reported epoch; of a trial that was retried, its last attempt.

        Returns:
            One row per trial and epoch, in the order of arrival.

        Raises:
            DamageError: If the table is damaged.
        """
        missing = "no trial of this search has reported an epoch"
        history = read_csv(self.history, missing, grows=True)
        if not {"trial", "epoch"} <= set(history.columns):
            raise DamageError(self.history, "must have the columns trial and epoch, got others")
        # A retry goes back to an earlier epoch: what the first attempt reported from there on
        # is void, so a row stands only below every epoch that its trial reports after it.
        after = history[::-1].groupby("trial")["epoch"].cummin()[::-1]
        later = after.groupby(history["trial"]).shift(-1)
        return history[later.isna() | (history["epoch"] < later)].reset_index(drop=True)

    def write_importances(self, importances: pd.DataFrame) -> None:
        """Write the hyperparameter importances, columns `parameter` and `importance`."""
        write_csv(self.importances, importances)

    def read_importances(self) -> pd.DataFrame:
        """Read the hyperparameter importances, largest first: `parameter` and `importance`."""
        return read_csv(self.importances, "the search had too few trials")

    def write_fusions(self, fusions: pd.DataFrame) -> None:
        """Write the scores of other fusions, columns as `RunPaths.fusions` says."""
        write_csv(self.fusions, fusions)

    def read_fusions(self) -> pd.DataFrame:
        """Read the scores of other fusions, columns as `RunPaths.fusions` says."""
        return read_csv(self.fusions, "the model has no branches")

    def write_rung_zero(self, standing: pd.DataFrame) -> None:
        """Write how combinations of inputs compare, best first, columns `schema.RUNG_ZERO`."""
        write_csv(self.rung_zero, standing)

    def read_rung_zero(self) -> pd.DataFrame:
        """Read how combinations of inputs compare, best first, columns `schema.RUNG_ZERO`."""
        return read_csv(self.rung_zero, "this search had no rung zero")

    def write_predictions(self, guids: Sequence[str], tags: Sequence[str]) -> None:
        """Write the predicted classes of the unlabelled samples, in the order of their list."""
        write_csv(self.predictions, pd.DataFrame({"guid": list(guids), "tag": list(tags)}))

    def read_predictions(self) -> pd.DataFrame:
        """Read the predicted classes of the unlabelled samples: text columns `guid` and `tag`."""
        return read_csv(self.predictions, "no model was retrained", text=("guid", "tag"))

    def write_probabilities(
        self, guids: Sequence[str], probabilities: NDArray[np.float32], classes: Classes
    ) -> None:
        """Write the class probabilities of the unlabelled samples, shape (N, C), float32."""
        frame = pd.DataFrame(probabilities, columns=list(classes.names))
        frame.insert(0, "guid", list(guids))
        write_csv(self.probabilities, frame)

    def read_probabilities(self) -> pd.DataFrame:
        """Read the predicted probabilities: `guid` (text), and each class."""
        return read_csv(self.probabilities, "no model was retrained", text=("guid",))


@lru_cache(maxsize=64)
def _classes_of(folder: RunFolder, written: int) -> Classes:  # noqa: ARG001 - changes with the file
    return folder.read_search().data.named
