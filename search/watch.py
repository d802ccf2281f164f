"""Trials that go wrong: one that hangs is failed, a cause that fells them all ends the search."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback

from trainables.reach import OutOfReachError

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

    from search.cut_off import CutOff
    from search.trials import Records

MOST_ALIKE = 5
"""Trials that may fail in a row for one cause before the search is taken to be hopeless."""

_CHANGING = re.compile(r"0x[0-9a-f]+|\d+")  # in a message, what may differ though the cause is one


class Watch(Callback):  # type: ignore[misc]  # Ray has no types
    """Fails trials that hang, and cuts the search off when trial after trial fails alike.

    Args:
        records: The searcher's records, where the scheduler notes why a trial failed.
        cut_off: Ends the search.
        timeout: Seconds a trial may take for one epoch; infinity without a limit.
    """

    def __init__(self, records: Records, cut_off: CutOff, timeout: float) -> None:
        self._records = records
        self._cut_off = cut_off
        self._timeout = timeout
        self._heard: dict[str, tuple[float, Trial]] = {}
        self._cause, self._alike = "", 0

    def on_trial_start(self, *, trial: Trial, **_: Any) -> None:
        """Begin to wait for a trial's first epoch.

        Args:
            trial: Ray's trial.
        """
        self._heard[trial.trial_id] = (time.monotonic(), trial)

    def on_trial_result(self, *, trial: Trial, **_: Any) -> None:
        """Begin to wait for a trial's next epoch.

        Args:
            trial: Ray's trial.
        """
        self._heard[trial.trial_id] = (time.monotonic(), trial)

    def on_trial_complete(self, *, trial: Trial, **_: Any) -> None:
        """Wait no longer; a trial that ends well breaks a row of failures.

        Args:
            trial: Ray's trial.
        """
        self._heard.pop(trial.trial_id, None)
        self._cause, self._alike = "", 0

    def on_trial_recover(self, *, trial: Trial, **_: Any) -> None:
        """Wait no longer until the trial has begun again.

        Args:
            trial: Ray's trial.
        """
        self._heard.pop(trial.trial_id, None)

    def on_trial_error(self, *, trial: Trial, **_: Any) -> None:
        """Wait no longer, and count how many have failed alike.

        Args:
            trial: Ray's trial.
        """
        self._heard.pop(trial.trial_id, None)
        record = self._records[trial.trial_id]
        error = record.error
        if record.blameless and not self._cut_off.reason:
            away = error.startswith(OutOfReachError.__name__)
            cause = "a file is away" if away else "the disk is full"
            self._cut_off.reason = f"{cause}: {error}"
        cause = _CHANGING.sub("#", error)
        self._alike = self._alike + 1 if cause == self._cause else 1
        self._cause = cause
        if self._alike >= MOST_ALIKE and not self._cut_off.reason:
            self._cut_off.reason = f"{self._alike} trials in a row failed with: {error}"

    def on_step_end(self, **_: Any) -> None:
        """Fail the trials that have been silent for too long."""
        now = time.monotonic()
        for since, trial in list(self._heard.values()):
            if now - since > self._timeout and trial.temporary_state.ray_actor is not None:
                self._heard.pop(trial.trial_id)
                limit = f"{self._timeout:g} s (--trial-timeout)"
                self._records[trial.trial_id].error = f"hung: no epoch ended within {limit}"
                trial.max_failures = 0  # what hung once would hang its retries' time away too
                ray.kill(trial.temporary_state.ray_actor)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray writes it to its snapshots, which nothing reads
