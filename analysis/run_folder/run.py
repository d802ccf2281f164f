"""One run as DataFrames: `analysis.load("runs/NAME")`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.confirmation import course_of
from analysis.run_folder.digests import is_noted, lost_files
from analysis.run_folder.folder import CONFIG, ResultsError, RunFolder
from analysis.run_folder.io import DamageError
from analysis.run_folder.schema import (
    IMPORTANCES,
    RUNG_ZERO,
    TRIALS,
    checked,
    history_columns,
    prediction_columns,
    probability_columns,
    sample_columns,
    typed,
)
from analysis.run_folder.several_models import runs_of
from trainables.evaluation.choice import Rule, by_others
from trainables.evaluation.decision import decide
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from analysis.run_folder.best_record import Best, Candidate
    from analysis.run_folder.schema import Column
    from analysis.run_folder.search_record import Search
    from trainables.evaluation.choice import Course
    from trainables.evaluation.classes import Classes


_MOST_NAMES = 5


@dataclass(frozen=True)
class Run:
    """One search: its records, and its tables as DataFrames as `analysis.run_folder.schema` says.

    What the run does not have is an empty table, or None; nothing is made up. What is damaged
    raises `ResultsError`, which says what helps.

    Attributes:
        folder: Where it is.
        search: What was searched: settings, data, split, versions, hardware.
        best: The chosen config and its scores; None when no trial has a score.
        notes: What a reader should know of it, in sentences, such as which files are missing.
        database: Whether its study may be read from the database that its record names.
    """

    folder: RunFolder
    search: Search
    best: Best | None
    notes: list[str] = field(default_factory=list)
    database: bool = False

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.name

    @property
    def objective(self) -> str:
        """The metric that was searched for, such as `val_weighted_f1`."""
        return self.search.objective

    @property
    def classes(self) -> Classes:
        """The classes, in the order of all probabilities."""
        return self.search.data.named

    @property
    def larger_is_better(self) -> bool:
        """Whether larger values of the objective are better."""
        return self.search.mode == "max"

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per ended trial, columns `TRIALS` and one `config/NAME` per hyperparameter."""
        path = self.folder.trials
        table = _table(path, self.folder.read_trials, TRIALS)
        if table["trial"].duplicated().any() or (table["trial"] < 0).any():
            raise DamageError(path, "must have one row for each trial, got others")
        return table if is_noted(path) else self._with_missing(table)

    def _with_missing(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the ended trials that the table of a killed or interrupted search lacks."""
        from analysis.run_folder.study import ended_trials  # noqa: PLC0415 - Optuna, for this alone

        ended = ended_trials(
            self.folder,
            self.notes,
            larger_is_better=self.larger_is_better,
            database=self.database,
        )
        missing = ended[~ended["trial"].isin(table["trial"])]
        if missing.empty:
            return table
        self.notes.append(
            f"{self.folder.trials} has {len(table)} of the {len(table) + len(missing)} trials that"
            " ended: the others are as the study has them"
        )
        return typed(pd.concat([table, missing]).sort_values("trial", ignore_index=True), TRIALS)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per trial and epoch, columns `history_columns`."""
        columns = history_columns(self.classes)
        history = _table(self.folder.history, self.folder.read_history, columns)
        # Older runs hold a row of stand-ins for the epoch in which a trial diverged.
        diverged = self.trials[self.trials["fate"] == "diverged"]
        last = history["trial"].map(dict(zip(diverged["trial"], diverged["epochs"], strict=True)))
        return history[last.isna() | (history["epoch"] <= last)].reset_index(drop=True)

    @cached_property
    def importances(self) -> pd.DataFrame:
        """One row per hyperparameter, largest first, columns `IMPORTANCES`."""
        return _table(self.folder.importances, self.folder.read_importances, IMPORTANCES)

    @cached_property
    def rung_zero(self) -> pd.DataFrame:
        """One row per combination of what trials can read, best first, columns `RUNG_ZERO`."""
        return _table(self.folder.rung_zero, self.folder.read_rung_zero, RUNG_ZERO)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per sample, labelled first, columns `sample_columns`."""
        columns = sample_columns(self.classes)
        return _table(self.folder.samples, self.folder.read_samples, columns)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per unlabelled sample, columns `prediction_columns`."""
        columns = prediction_columns(self.classes)
        return _table(self.folder.predictions, self.folder.read_predictions, columns)

    @cached_property
    def probabilities(self) -> pd.DataFrame:
        """One row per trial and validated sample, columns `probability_columns`; read once."""
        tables, names = [], ["row", *self.classes.names]
        for trial in self.trials["trial"]:
            if self.folder.trial_probabilities(trial).exists():
                table = self.folder.read_trial_probabilities(trial)[names]
                table.insert(0, "trial", trial)
                tables.append(table)
        return typed(
            pd.concat(tables) if tables else pd.DataFrame(), probability_columns(self.classes)
        )

    @property
    def parameters(self) -> list[str]:
        """The names of the searched hyperparameters, in the order of the space."""
        return [c.removeprefix(CONFIG) for c in self.trials.columns if c.startswith(CONFIG)]

    def config(self, trial: int) -> dict[str, Any]:
        """Return the hyperparameters that a trial drew; empty if it is not in the table."""
        rows = self.trials[self.trials["trial"] == trial]
        if rows.empty:
            return {}
        row = rows.iloc[0]
        values = {name: row[CONFIG + name] for name in self.parameters}
        return {name: value for name, value in values.items() if not pd.isna(value)}

    def validated(self, trial: int) -> Validated | None:
        """Return a trial's predictions of held-out samples, decided as it was scored.

        Args:
            trial: Its number.

        Returns:
            Probabilities and decisions by sample; None where they, or the labels, were not kept.

        Raises:
            DamageError: If they are not of the samples that validate.
        """
        if self.samples.empty or not self.folder.trial_probabilities(trial).exists():
            return None
        table = self.folder.read_trial_probabilities(trial)
        sizes = self.search.split.val  # the samples of the first fold come first
        path = self.folder.trial_probabilities(trial)
        if sum(sizes) != len(table):
            raise DamageError(
                path, f"must have {sum(sizes):,} rows, as validate, got {len(table):,}"
            )
        rows = self._labelled_rows(path, table)
        probabilities = table[list(self.classes.names)].to_numpy()
        parts = np.repeat(np.arange(len(sizes)), sizes)
        return Validated(
            rows=rows,
            parts=parts,
            labels=self.labels[rows],
            probabilities=probabilities,
            decided=decide(probabilities, self._neutral_threshold(trial), classes=self.classes),
            groups=None if self._groups is None else self._groups[rows],
            repeats=parts // (len(sizes) // self.search.split.repeats),
            classes=self.classes,
        )

    def confirmed(self, trial: int) -> Validated | None:
        """Return the out-of-fold predictions of a trial's config that was trained again.

        Args:
            trial: Its number.

        Returns:
            Probabilities and decisions by sample, by the rule of the search; None where it was
            not confirmed, or the labels were not kept.
        """
        decision = self.best.decision if self.best else None
        kept = self.folder.confirmation(trial).exists() and not self.samples.empty
        if decision is None or not kept:
            return None
        course = self.course(trial)
        sign = 1 if self.larger_is_better else -1
        rule = Rule(self.objective.removeprefix("val_"), sign, decision.rule)
        return by_others(course, rule).validated

    @cached_property
    def reported(self) -> Validated | None:
        """Predictions of the confirmed score: each fold by the config that the others chose.

        Where an ensemble ships, those of it. Of a run of an older version, those of the
        chosen config; None where none was confirmed.
        """
        if self.best is None or self.best.confirmed is None:
            return None
        path, read = self.folder.reported, self.folder.read_reported
        if self.best.shipped_ensemble:
            path, read = self.folder.ensemble, self.folder.read_ensemble
        if not path.exists() or self.samples.empty:
            return self.confirmed(self.best.trial)
        frame = read()
        self._labelled_rows(path, frame)
        course = course_of(frame, self.labels, self.classes, groups=self._groups)
        return course.decided(course.probabilities[0], frame["decided"].to_numpy(np.int64))

    @property
    def _groups(self) -> NDArray[np.int64] | None:
        """Groups of duplicates among the samples; None in a run that did not keep them."""
        return self.samples["group"].to_numpy(np.int64) if "group" in self.samples else None

    def course(self, trial: int, neutral_threshold: float = 0.0) -> Course:
        """Read the out-of-fold predictions of a trial's config that was trained again, by epoch.

        Args:
            trial: Its number; it was confirmed.
            neutral_threshold: Its threshold where it drew none; 0 takes the likeliest class.

        Returns:
            The predictions after each epoch.

        Raises:
            DamageError: If not every epoch has predictions of the same samples.
        """
        frame, path = self.folder.read_courses(trial), self.folder.confirmation(trial)
        self._labelled_rows(path, frame)
        if frame.duplicated(["fold", "row"]).any():
            by = frame.groupby("epoch") if "epoch" in frame else [(0, frame)]
            epochs = [each[["fold", "row"]].to_numpy() for _, each in by]
            if len(epochs) < 2 or not all(np.array_equal(each, epochs[0]) for each in epochs):
                raise DamageError(path, "must have the same rows after each epoch, got others")
        own = float(self.config(trial).get("neutral_threshold", neutral_threshold))
        return course_of(
            frame, self.labels, self.classes, neutral_threshold=own, groups=self._groups
        )

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The configs that were trained again; empty where none was."""
        return (self.best and self.best.candidates) or ()

    def _labelled_rows(self, path: Path, table: pd.DataFrame) -> NDArray[np.int64]:
        rows = table["row"].to_numpy(np.int64)
        labels = self.labels
        if len(rows) and (rows.max() >= len(labels) or (labels[rows] < 0).any()):
            raise DamageError(
                path, f"must be of labelled samples of {self.folder.samples}, got others"
            )
        return rows

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes of the samples, shape (N,); -1 where unlabelled."""
        return np.asarray(self.samples["tag"].cat.codes, dtype=np.int64)

    def _neutral_threshold(self, trial: int) -> float:
        # What no trial draws stays at its default, which decides as the likeliest class does.
        return float(self.config(trial).get("neutral_threshold", 0))


def load(path: str | Path, *, database: bool = False) -> Run:
    """Load a run.

    Args:
        path: The folder of a search, `runs/NAME`; the search may still run.
        database: Whether to connect to the database that the folder names, if its study is in
            one: not where the folder is a stranger's, for it may name any.

    Returns:
        The run. Its tables are read when first asked for.

    Raises:
        ResultsError: If there is no search, or a file of it is damaged.
    """
    folder = RunFolder(Path(path).absolute())
    if not folder.path.is_dir():
        msg = f"{path} must be the folder of a search: there is no such folder"
        raise ResultsError(msg)
    if folder.all_models.exists() and not folder.search.exists():
        names = ", ".join(run.name for run in runs_of(folder.path))
        msg = f"{path} must be the folder of one search, got those of several models: {names}"
        raise ResultsError(msg)
    search = folder.read_search()
    best = folder.read_best() if folder.best.exists() or is_noted(folder.best) else None
    return Run(folder, search, best, list(_losses(folder)), database)


def _losses(folder: RunFolder) -> Iterator[str]:
    """List missing files that a run can be read without; readers of the others raise."""
    must = {folder.search, folder.best, folder.trials, folder.history, folder.study, folder.report}
    names = [str(p.relative_to(folder.path)) for p in lost_files(folder.path) if p not in must]
    if names:
        shown = ", ".join(names[:_MOST_NAMES]) + ", ..." * (len(names) > _MOST_NAMES)
        yield f"{folder.path} goes without what was written there and is gone: {shown}"


def _table(
    path: Path, read: Callable[[], pd.DataFrame], columns: Mapping[str, Column]
) -> pd.DataFrame:
    must = path.name in {"trials.csv", "history.csv"} and is_noted(path)
    frame = read() if path.exists() or must else pd.DataFrame()
    return checked(path, frame, columns)
