"""One run as pandas sees it: `analysis.load("runs/NAME")`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.choice import Rule, by_others
from analysis.columns import (
    HISTORY,
    IMPORTANCES,
    PREDICTIONS,
    PROBABILITIES,
    SAMPLES,
    TRIALS,
    Column,
    typed,
)
from analysis.confirmation import course_of
from analysis.resampling import Validated
from analysis.results import CLASSES, CONFIG, ResultsError, RunFolder
from analysis.scores import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Run:
    """One search: records as dicts, tables as DataFrames whose columns `analysis.columns` tells.

    A piece that the run does not have is an empty table, or None; nothing is made up.

    Attributes:
        folder: Where it is.
        search: What was searched: settings, data, split, versions, hardware.
        best: The chosen config and its scores; None when no trial has a score.
    """

    folder: RunFolder
    search: Mapping[str, Any]
    best: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.name

    @property
    def objective(self) -> str:
        """The metric that the search was about, such as `val_weighted_f1`."""
        return str(self.search["objective"])

    @property
    def larger_is_better(self) -> bool:
        """Whether more of the objective is better."""
        return bool(self.search["mode"] == "max")

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per ended trial, columns `TRIALS` and one `config/NAME` per hyperparameter."""
        return _table(self.folder.trials, self.folder.read_trials, TRIALS)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per trial and epoch, columns `HISTORY`."""
        history = _table(self.folder.history, self.folder.read_history, HISTORY)
        # Older runs hold a row of stand-ins for the epoch in which a trial diverged.
        diverged = self.trials[self.trials["fate"] == "diverged"]
        last = history["trial"].map(dict(zip(diverged["trial"], diverged["epochs"], strict=True)))
        return history[last.isna() | (history["epoch"] <= last)].reset_index(drop=True)

    @cached_property
    def importances(self) -> pd.DataFrame:
        """One row per hyperparameter, largest first, columns `IMPORTANCES`."""
        return _table(self.folder.importances, self.folder.read_importances, IMPORTANCES)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per sample, labelled first, columns `SAMPLES`."""
        return _table(self.folder.samples, self.folder.read_samples, SAMPLES)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per unlabelled sample, columns `PREDICTIONS`."""
        return _table(self.folder.predictions, self.folder.read_predictions, PREDICTIONS)

    @cached_property
    def probabilities(self) -> pd.DataFrame:
        """One row per trial and validated sample, columns `PROBABILITIES`; read whole, once."""
        tables = []
        for trial in self.trials["trial"]:
            if self.folder.trial_probabilities(trial).exists():
                table = self.folder.read_trial_probabilities(trial)[["row", *CLASSES]]
                table.insert(0, "trial", trial)
                tables.append(table)
        return typed(pd.concat(tables) if tables else pd.DataFrame(), PROBABILITIES)

    @property
    def parameters(self) -> list[str]:
        """The names of the searched hyperparameters, in the order of the space."""
        return [c.removeprefix(CONFIG) for c in self.trials.columns if c.startswith(CONFIG)]

    def config(self, trial: int) -> dict[str, Any]:
        """Give the hyperparameters of a trial.

        Args:
            trial: Its number.

        Returns:
            Values by name, those it drew only; empty for a trial that is not in the table.
        """
        rows = self.trials[self.trials["trial"] == trial]
        if rows.empty:
            return {}
        row = rows.iloc[0]
        values = {name: row[CONFIG + name] for name in self.parameters}
        return {name: value for name, value in values.items() if not pd.isna(value)}

    def validated(self, trial: int) -> Validated | None:
        """Give what a trial said of samples that it did not train on, decided as it was scored.

        Args:
            trial: Its number.

        Returns:
            Probabilities and decisions by sample; None where they, or the labels, were not kept.

        Raises:
            ResultsError: If they are not of the samples that validate.
        """
        if self.samples.empty or not self.folder.trial_probabilities(trial).exists():
            return None
        table = self.folder.read_trial_probabilities(trial)
        sizes = self.search["split"]["val"]  # the samples of the first fold come first
        if sum(sizes) != len(table):
            path = self.folder.trial_probabilities(trial)
            msg = f"{path} must have {sum(sizes):,} rows, as validate, got {len(table):,}"
            raise ResultsError(msg)
        rows = table["row"].to_numpy(np.int64)
        probabilities = table[list(CLASSES)].to_numpy()
        parts = np.repeat(np.arange(len(sizes)), sizes)
        return Validated(
            rows=rows,
            parts=parts,
            labels=self._labels[rows],
            probabilities=probabilities,
            decided=decide(probabilities, self._neutral_threshold(trial)),
            groups=None if self._groups is None else self._groups[rows],
            repeats=parts // (len(sizes) // self.search["split"].get("repeats", 1)),
        )

    def confirmed(self, trial: int) -> Validated | None:
        """Give what a trial's config said out of fold when it was trained again.

        Args:
            trial: Its number.

        Returns:
            Probabilities and decisions by sample, by the rule of the search; None where it was
            not confirmed, or the labels were not kept.
        """
        decision = (self.best or {}).get("decision")
        kept = self.folder.confirmation(trial).exists() and not self.samples.empty
        if decision is None or not kept:
            return None
        course = course_of(
            self.folder.read_courses(trial),
            self._labels,
            neutral_threshold=self._neutral_threshold(trial),
            groups=self._groups,
        )
        sign = 1 if self.larger_is_better else -1
        rule = Rule(self.objective.removeprefix("val_"), sign, decision["rule"])
        return by_others(course, rule).validated

    @cached_property
    def told(self) -> Validated | None:
        """What the confirmed score is of: each fold by the config that the other folds chose.

        Of a run of an older version, what the chosen config said; None where none was confirmed.
        """
        if self.best is None or not self.best.get("confirmed"):
            return None
        if not self.folder.told.exists() or self.samples.empty:
            return self.confirmed(self.best["trial"])
        frame = self.folder.read_told()
        course = course_of(frame, self._labels, groups=self._groups)
        return course.decided(course.probabilities[0], frame["decided"].to_numpy(np.int64))

    @property
    def _groups(self) -> NDArray[np.int64] | None:
        """Groups of duplicates among the samples; None in a run that did not keep them."""
        return self.samples["group"].to_numpy(np.int64) if "group" in self.samples else None

    @property
    def _labels(self) -> NDArray[np.int64]:
        return np.asarray(self.samples["tag"].cat.codes, dtype=np.int64)

    def _neutral_threshold(self, trial: int) -> float:
        # What no trial draws stays at its default, which decides as the likeliest class does.
        return float(self.config(trial).get("neutral_threshold", 0))


def load(path: str | Path) -> Run:
    """Load a run.

    Args:
        path: The folder of a search, `runs/NAME`; the search may still run.

    Returns:
        The run. Its tables are read when first asked for.

    Raises:
        ResultsError: If there is no search, or a file of it is damaged.
    """
    folder = RunFolder(Path(path).absolute())
    if not folder.path.is_dir():
        msg = f"{path} must be the folder of a search: there is no such folder"
        raise ResultsError(msg)
    best = folder.read_best() if folder.best.exists() else None
    return Run(folder, folder.read_search(), best)


def _table(
    path: Path, read: Callable[[], pd.DataFrame], columns: Mapping[str, Column]
) -> pd.DataFrame:
    return typed(read() if path.exists() else pd.DataFrame(), columns)
