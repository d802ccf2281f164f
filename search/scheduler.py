"""ASHA on epochs, for trials whose objective may turn out missing or not finite."""

from __future__ import annotations

import errno
import math
import pickle
from numbers import Real
from pathlib import Path
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
        record = self._records[trial.trial_id]
        error = _error_of(trial)
        record.error = record.error or one_line(error)
        record.blameless = is_disk_full(_cause(error))

    def rebuild(self, trials: Sequence[FrozenTrial]) -> None:
        """Fill the rungs with what the trials of a study reported.

        Args:
            trials: Ended trials; those that failed count for nothing.
        """
        sign = 1 if self._mode == "max" else -1
        for trial in trials:
            if trial.state in {TrialState.COMPLETE, TrialState.PRUNED}:
                name = SimpleNamespace(trial_id=f"study-{trial.number}")
                last = trial.user_attrs.get("epochs", math.inf)  # later ones are void
                for epoch, value in sorted(trial.intermediate_values.items()):
                    if epoch <= last:
                        self._brackets[0].on_result(name, epoch, sign * value)


def one_line(error: BaseException | None) -> str:
    """Say why a trial failed.

    Args:
        error: What Ray kept of it.

    Returns:
        The type and the message of the cause, in one line.
    """
    cause = _cause(error)
    if cause is None:
        return "unknown: Ray kept no error"
    words = " ".join(str(cause).split()) or "no message"
    return f"{type(cause).__name__}: {words}"[:500]


def is_disk_full(error: BaseException | None) -> bool:
    """Say whether an error comes from a full disk.

    Args:
        error: The error.

    Returns:
        Whether it is the system's error for no space or no quota left.
    """
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _error_of(trial: Trial) -> BaseException | None:
    """Read what Ray kept of an error: from where it wrote it, before it is synchronised."""
    path = getattr(trial, "pickled_error_file", None)
    if path is not None and Path(path).exists():
        error: BaseException = pickle.loads(Path(path).read_bytes())  # this process wrote it
        return error
    return trial.get_pickled_error()  # type: ignore[no-any-return]  # Ray has no types


def _cause(error: BaseException | None) -> BaseException | None:
    return getattr(error, "cause", None) or error


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
