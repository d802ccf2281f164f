"""ASHA on epochs, for trials whose objective may be missing or not finite."""

from __future__ import annotations

import math
import pickle
from numbers import Real
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.errors import cause_of, is_passing, one_line
from search.study.resume import name_of
from search.study.trial import EPOCH
from trainables.evaluation.metrics import mode_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import FrozenTrial
    from ray.tune.experiment import Trial

    from search.study.trial import Records


class FiniteASHA(ASHAScheduler):  # type: ignore[misc]  # Ray has no types
    """ASHA on epochs that also stops a trial whose objective is missing or not finite.

    Args:
        records: The searcher's records, where it notes what it stops and why a trial failed.
        metric: The objective.
        max_epochs: Epochs of a full trial, >= 1.
        grace_epochs: Epochs before a trial can be stopped, in [1, max_epochs]; at `max_epochs`
            no trial is ever stopped early.
        reduction_factor: One in this many goes on at each rung, > 1.
    """

    def __init__(
        self,
        records: Records,
        metric: str,
        *,
        max_epochs: int,
        grace_epochs: int,
        reduction_factor: float,
    ) -> None:
        super().__init__(
            time_attr=EPOCH,
            metric=metric,
            mode=mode_of(metric),
            max_t=max_epochs,
            grace_period=grace_epochs,
            reduction_factor=reduction_factor,
        )
        self._records = records

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Add a trial; a resumed one takes over what it reported before."""
        super().on_trial_add(tune_controller, trial)
        before = name_of(self._records[trial.trial_id].number)
        for _, recorded in self._rungs:
            if before in recorded:
                recorded[trial.trial_id] = recorded.pop(before)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide whether a trial continues, in Ray's words."""
        if not _is_finite(result.get(self._metric)):
            return str(TrialScheduler.STOP)
        if result[EPOCH] < self._max_t and not self._is_news(trial.trial_id, result[EPOCH]):
            return str(TrialScheduler.CONTINUE)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        if decision == TrialScheduler.STOP and result[EPOCH] < self._max_t:
            self._records[trial.trial_id].stopped = True
        return decision

    def on_trial_complete(
        self, tune_controller: Any, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Record a trial's last report in the rungs, if it has a score."""
        self._void(trial.trial_id, result[EPOCH])
        has_score = _is_finite(result.get(self._metric)) and not result.get("diverged")
        if has_score and self._is_news(trial.trial_id, result[EPOCH]):
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keep why a trial failed: only a scheduler sees it before the searcher is told."""
        super().on_trial_error(tune_controller, trial)
        record = self._records[trial.trial_id]
        self._void(trial.trial_id, record.epochs)
        error = _error_of(trial)
        record.error = record.error or one_line(error)
        record.retryable = is_passing(cause_of(error))

    def rebuild(self, trials: Sequence[FrozenTrial]) -> None:
        """Fill the rungs with the reports of a study's trials, as if it had not been interrupted.

        Args:
            trials: None is running; those that wait continue under another name.
        """
        sign = 1 if self._mode == "max" else -1
        for trial in trials:
            name = SimpleNamespace(trial_id=name_of(trial.number))
            for epoch, value in sorted(trial.intermediate_values.items()):
                if self._is_news(name.trial_id, epoch):
                    self._brackets[0].on_result(name, epoch, sign * value)
            if trial.state.is_finished():
                self._void(name.trial_id, trial.user_attrs.get("epochs", math.inf))

    @property
    def _rungs(self) -> list[tuple[float, dict[str, float]]]:
        """The least epochs of each rung, and the scores in it by trial; the highest first."""
        return list(self._brackets[0]._rungs)

    def _is_news(self, trial_id: str, epoch: int) -> bool:
        """Return whether a rung begins with this epoch, and has no score of the trial yet."""
        # Ray itself would enter a score in whichever lower rung has none of the trial.
        own = [recorded for least, recorded in self._rungs if epoch - 1 < least <= epoch]
        return bool(own) and trial_id not in own[0]

    def _void(self, trial_id: str, last: float) -> None:
        """Drop the reports of a crashed attempt that lie after the end of the one that counts."""
        for least, recorded in self._rungs:
            if least > last:
                recorded.pop(trial_id, None)


def _error_of(trial: Trial) -> BaseException | None:
    """Read the error that Ray kept, from where it wrote it, before it is synchronised."""
    path = getattr(trial, "pickled_error_file", None)
    if path is not None and Path(path).exists():
        error: BaseException = pickle.loads(Path(path).read_bytes())  # this process wrote it
        return error
    return trial.get_pickled_error()  # type: ignore[no-any-return]  # Ray has no types


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
