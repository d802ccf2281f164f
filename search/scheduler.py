"""ASHA on epochs, for trials whose objective may turn out missing or not finite."""

from __future__ import annotations

import math
from numbers import Real
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.trials import EPOCH
from trainables.objective import mode_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import FrozenTrial
    from ray.tune.experiment import Trial

    from search.trials import Records


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

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide whether a trial goes on.

        Args:
            tune_controller: Ray's controller.
            trial: Ray's trial.
            result: Its report, flat.

        Returns:
            Ray's word for going on or stopping.
        """
        if not _is_finite(result.get(self._metric)):
            return str(TrialScheduler.STOP)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        if decision == TrialScheduler.STOP and result[EPOCH] < self._max_t:
            self._records[trial.trial_id].stopped = True
        return decision

    def on_trial_complete(
        self, tune_controller: Any, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Enter a trial's last report in the rungs, if it has a score.

        Args:
            tune_controller: Ray's controller.
            trial: Ray's trial.
            result: Its report, flat.
        """
        if _is_finite(result.get(self._metric)) and not result.get("diverged"):
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keep why a trial failed: only a scheduler sees it before the searcher is told.

        Args:
            tune_controller: Ray's controller.
            trial: Ray's trial.
        """
        super().on_trial_error(tune_controller, trial)
        self._records[trial.trial_id].error = one_line(trial.get_pickled_error())

    def rebuild(self, trials: Sequence[FrozenTrial]) -> None:
        """Fill the rungs with what the trials of a study reported.

        Args:
            trials: Ended trials; those that failed count for nothing.
        """
        sign = 1 if self._mode == "max" else -1
        for trial in trials:
            if trial.state in {TrialState.COMPLETE, TrialState.PRUNED}:
                name = SimpleNamespace(trial_id=f"study-{trial.number}")
                for epoch, value in sorted(trial.intermediate_values.items()):
                    self._brackets[0].on_result(name, epoch, sign * value)


def one_line(error: BaseException | None) -> str:
    """Say why a trial failed.

    Args:
        error: What Ray kept of it.

    Returns:
        The type and the message of the cause, in one line.
    """
    cause = getattr(error, "cause", None) or error
    if cause is None:
        return "unknown: Ray kept no error"
    words = " ".join(str(cause).split()) or "no message"
    return f"{type(cause).__name__}: {words}"[:500]


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
