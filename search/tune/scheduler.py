"""ASHA on epochs, for trials whose objective may be missing or not finite.

Trials whose towers are frozen are compared among themselves, and so are those that train blocks: a
head alone is ahead in its first epochs, which says nothing about the last.
"""

from __future__ import annotations

import math
import pickle
from numbers import Real
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.errors import cause_of, is_passing, one_line
from search.study.frozen_first import is_frozen
from search.study.resume import name_of
from search.study.trial import EPOCH
from trainables.evaluation.metrics import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        asked = {
            "time_attr": EPOCH,
            "metric": metric,
            "mode": mode_of(metric),
            "max_t": max_epochs,
            "grace_period": grace_epochs,
            "reduction_factor": reduction_factor,
        }
        super().__init__(**asked)
        self._brackets += ASHAScheduler(**asked)._brackets
        self._records = records

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Add a trial; a resumed one takes over what it reported before."""
        super().on_trial_add(tune_controller, trial)
        record = self._records[trial.trial_id]
        # Ray would draw the bracket.
        self._trial_info[trial.trial_id] = self._bracket_of(record.params)
        before = name_of(record.number)
        for _, recorded in self._rungs(record.params):
            if before in recorded:
                recorded[trial.trial_id] = recorded.pop(before)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide whether a trial continues, in Ray's words."""
        if not _is_finite(result.get(self._metric)):
            return str(TrialScheduler.STOP)
        params = self._records[trial.trial_id].params
        if result[EPOCH] < self._max_t and not self._is_news(
            trial.trial_id, params, result[EPOCH]
        ):
            return str(TrialScheduler.CONTINUE)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        if decision == TrialScheduler.STOP and result[EPOCH] < self._max_t:
            self._records[trial.trial_id].stopped = True
        return decision

    def on_trial_complete(
        self, tune_controller: Any, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Record a trial's last report in the rungs, if it has a score."""
        params = self._records[trial.trial_id].params
        self._void(trial.trial_id, params, result[EPOCH])
        has_score = _is_finite(result.get(self._metric)) and not result.get("diverged")
        if has_score and self._is_news(trial.trial_id, params, result[EPOCH]):
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keep why a trial failed: only a scheduler sees it before the searcher is told."""
        super().on_trial_error(tune_controller, trial)
        record = self._records[trial.trial_id]
        self._void(trial.trial_id, record.params, record.epochs)
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
                if self._is_news(name.trial_id, trial.params, epoch):
                    self._bracket_of(trial.params).on_result(name, epoch, sign * value)
            if trial.state.is_finished():
                last = trial.user_attrs.get("epochs", math.inf)
                self._void(name.trial_id, trial.params, last)

    def _bracket_of(self, params: Mapping[str, Any]) -> Any:
        return self._brackets[0 if is_frozen(params) else 1]

    def _rungs(self, params: Mapping[str, Any]) -> list[tuple[float, dict[str, float]]]:
        """Return each rung's least epochs and its scores by trial, the highest rung first."""
        return list(self._bracket_of(params)._rungs)

    def _is_news(self, trial_id: str, params: Mapping[str, Any], epoch: int) -> bool:
        """Return whether a rung begins with this epoch, and has no score of the trial yet."""
        # Ray itself would enter a score in whichever lower rung has none of the trial.
        rungs = self._rungs(params)
        own = [recorded for least, recorded in rungs if epoch - 1 < least <= epoch]
        return bool(own) and trial_id not in own[0]

    def _void(self, trial_id: str, params: Mapping[str, Any], last: float) -> None:
        """Drop the reports of a crashed attempt that lie after the end of the one that counts."""
        for least, recorded in self._rungs(params):
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
