"""From a trial's reports to the run folder, as they come."""

from __future__ import annotations

import logging
import math
import re
import time
from numbers import Real
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback
from ray.tune.result import AUTO_RESULT_KEYS

from analysis.run_folder.digests import settle
from search.study.trial import EPOCH
from search.tune.tables import trials_table
from trainables.reach import OutOfReachError

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

    from analysis.run_folder.folder import RunFolder
    from search.config.plan import Plan
    from search.study.trial import Records, TrialRecord
    from search.tune.stopper import SearchStopper
    from trainables.evaluation.metrics import Mode


# The table of trials is written whole and grows: not after every trial of a burst.
_SECONDS_BETWEEN_TABLES = 2.0
_RAYS_OWN = {*AUTO_RESULT_KEYS, "done", "trial_id", "experiment_tag", "should_checkpoint"}


class Recorder(Callback):  # type: ignore[misc]  # Ray has no types
    """Writes each report to the run folder, and takes the arrays out of it.

    Ray keeps the last report of every trial in its own state, which it writes again and again:
    it must not hold probabilities. So this callback comes before all others.

    Args:
        folder: Where the tables go.
        records: The searcher's records.
        mode: Whether more or less of the objective is better.
        stopper: Ends the search when a table cannot be written.
    """

    def __init__(
        self, folder: RunFolder, records: Records, mode: Mode, stopper: SearchStopper
    ) -> None:
        self._folder = folder
        self._stopper = stopper
        self._records = records
        self._mode: Mode = mode
        self._started: dict[str, float] = {}
        self._written = -math.inf
        if folder.history.exists():  # after a kill, its last line may be torn
            folder.write_history(folder.read_history())

    def on_trial_start(self, *, trial: Trial, **_: Any) -> None:
        """Start a trial's clock, once."""
        before = self._records[trial.trial_id].seconds  # of an attempt that was interrupted
        self._started.setdefault(trial.trial_id, time.monotonic() - before)

    def on_trial_result(self, *, trial: Trial, result: dict[str, Any], **_: Any) -> None:
        """Write an epoch, unless the trial diverged in it; arrays are removed from `result`."""
        record = self._timed(trial)
        if result.get("diverged"):
            # Ray needs an objective; a diverged trial has none, and the placeholder is not shown.
            for name in [name for name in result if name.startswith("val_")]:
                del result[name]
            return
        probabilities, rows = result.pop("val_probabilities", None), result.pop("val_rows", None)
        branches = result.pop("val_branches", None)
        row: dict[str, object] = {"trial": record.number, EPOCH: result[EPOCH]}
        row |= {k: v for k, v in result.items() if isinstance(v, Real) and k not in _RAYS_OWN}
        with self._stopper.guarding():
            if probabilities is not None:
                self._folder.write_trial_probabilities(
                    record.number, rows, probabilities, branches
                )
            self._folder.append_history(row)

    def on_trial_recover(self, *, trial: Trial, **_: Any) -> None:
        """Count a crash after which a trial is retried."""
        self._records[trial.trial_id].retries += 1

    def on_trial_complete(self, *, trial: Trial, **_: Any) -> None:
        """Write the table of trials."""
        self._end(trial)

    def on_trial_error(self, *, trial: Trial, **_: Any) -> None:
        """Write the table of trials."""
        self._end(trial)

    def write_trials(self, *, now: bool = False) -> None:
        """Write the table of ended trials, unless it has just been written and `now` is false."""
        if now or time.monotonic() - self._written > _SECONDS_BETWEEN_TABLES:
            with self._stopper.guarding():
                self._folder.write_trials(trials_table(self._records, self._mode))
            self._written = time.monotonic()

    def finish(self) -> None:
        """Write the tables for good, once every trial has an end."""
        self.write_trials(now=True)
        with self._stopper.guarding():
            if self._folder.history.exists():
                self._folder.write_history(self._folder.read_history())
            self._folder.note_study()
            settle(self._folder.path)

    def _end(self, trial: Trial) -> None:
        self._timed(trial)
        self.write_trials()
        # Ray keeps running averages of every metric of every trial, some 100 kB each that no one
        # reads, in its memory and in the state that it writes again and again.
        trial.run_metadata.metric_analysis = {}
        trial.run_metadata.metric_n_steps = {}

    def _timed(self, trial: Trial) -> TrialRecord:
        record = self._records[trial.trial_id]
        now = time.monotonic()
        record.seconds = now - self._started.get(trial.trial_id, now)
        return record


MOST_ALIKE = 5
"""Trials that may fail in a row for one cause before the search is taken to be hopeless."""

_CHANGING = re.compile(r"0x[0-9a-f]+|\d+")  # in a message, what may differ though the cause is one


class Watchdog(Callback):  # type: ignore[misc]  # Ray has no types
    """Fails trials that hang, and ends the search when trial after trial fails alike.

    Args:
        records: The searcher's records, where the scheduler notes why a trial failed.
        stopper: Ends the search.
        timeout: Seconds a trial may take for one epoch; infinity without a limit.
    """

    def __init__(self, records: Records, stopper: SearchStopper, timeout: float) -> None:
        self._records = records
        self._stopper = stopper
        self._timeout = timeout
        self._heard: dict[str, tuple[float, Trial]] = {}
        self._cause, self._alike = "", 0

    def on_trial_start(self, *, trial: Trial, **_: Any) -> None:
        """Begin to wait for a trial's first epoch."""
        self._heard[trial.trial_id] = (time.monotonic(), trial)

    def on_trial_result(self, *, trial: Trial, **_: Any) -> None:
        """Begin to wait for a trial's next epoch."""
        self._heard[trial.trial_id] = (time.monotonic(), trial)

    def on_trial_complete(self, *, trial: Trial, **_: Any) -> None:
        """Stop waiting; a trial that ends well breaks a row of failures."""
        self._heard.pop(trial.trial_id, None)
        self._cause, self._alike = "", 0

    def on_trial_recover(self, *, trial: Trial, **_: Any) -> None:
        """Stop waiting until the trial has started again."""
        self._heard.pop(trial.trial_id, None)

    def on_trial_error(self, *, trial: Trial, **_: Any) -> None:
        """Stop waiting, and count how many have failed alike."""
        self._heard.pop(trial.trial_id, None)
        record = self._records[trial.trial_id]
        error = record.error
        if record.retryable and not self._stopper.reason:
            away = error.startswith(OutOfReachError.__name__)
            cause = "a file is away" if away else "the disk is full"
            self._stopper.reason = f"{cause}: {error}"
        cause = _CHANGING.sub("#", error)
        self._alike = self._alike + 1 if cause == self._cause else 1
        self._cause = cause
        if self._alike >= MOST_ALIKE and not self._stopper.reason:
            self._stopper.reason = f"{self._alike} trials in a row failed with: {error}"

    def on_step_end(self, **_: Any) -> None:
        """Fail the trials that have been silent for too long."""
        now = time.monotonic()
        for since, trial in list(self._heard.values()):
            if now - since > self._timeout and trial.temporary_state.ray_actor is not None:
                self._heard.pop(trial.trial_id)
                limit = f"{self._timeout:g} s (--trial-timeout)"
                self._records[trial.trial_id].error = f"hung: no epoch ended within {limit}"
                trial.max_failures = 0  # its retries would probably hang as well
                ray.kill(trial.temporary_state.ray_actor)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray writes it to its snapshots, which nothing reads


_PROJECT = "multimodal-sentiment-search"


def trackers(plan: Plan) -> list[Callback]:
    """Make the trackers that were asked for, as callbacks to be placed after `Recorder`."""
    settings, found = plan.settings.tracking, []
    if settings.tensorboard:
        from ray.tune.logger import TBXLoggerCallback  # noqa: PLC0415 - on request

        # It would warn that a hyperparameter of several types cannot be a column.
        logging.getLogger("ray.tune.logger.tensorboardx").setLevel(logging.ERROR)
        found.append(TBXLoggerCallback())
    if settings.mlflow:
        from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: PLC0415

        place = (plan.folder.path / "mlruns").as_uri()
        found.append(MLflowLoggerCallback(tracking_uri=place, experiment_name=_PROJECT))
    if settings.wandb:
        from ray.air.integrations.wandb import WandbLoggerCallback  # noqa: PLC0415

        found.append(WandbLoggerCallback(project=_PROJECT, group=plan.folder.path.name))
    return found
