"""Connects Optuna's study with Ray Tune: the study decides and remembers, Ray runs what it asks.

Ray pickles a searcher at every snapshot; ours gives it nothing, because a search that was killed
is resumed from the study itself with a new `Tuner`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.study.resume import name_of, records_of, requeue
from search.study.trial import EPOCH, HAND_TUNED, Records, TrialRecord, ranked
from trainables.evaluation.metrics import Mode, mode_of
from trainables.trainable import RESUME_FROM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import optuna

    from search.study.frozen_first import Order
    from search.study.trial import Fate
    from search.tune.stopper import SearchStopper

_STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}


class Limits(NamedTuple):
    """What bounds a search.

    Attributes:
        stopper: Ends it, as when the study cannot be written.
        slots: Returns how many trials can run at a time: no more are drawn, so that each is drawn
            knowing of those before it.
    """

    stopper: SearchStopper
    slots: Callable[[], int]


class StudySearcher(Searcher):  # type: ignore[misc]  # Ray has no types
    """Asks the study for trials and tells it how each ended.

    A finished trial is told COMPLETE with the objective at its best epoch, one that ASHA stopped
    PRUNED, and one that crashed or diverged FAIL. One that was interrupted waits.

    Args:
        study: The study; its direction fits the metric.
        one_write: Makes what is told in a block one write.
        order: Asks for the trials, and draws their hyperparameters.
        metric: The objective, a key of a trial's reports.
        limits: Bound it.
        checkpoints: States to resume unfinished trials from, by their numbers.
    """

    def __init__(
        self,
        study: optuna.Study,
        one_write: Callable[[], AbstractContextManager[None]],
        order: Order,
        metric: str,
        *,
        limits: Limits,
        checkpoints: Mapping[int, str] | None = None,
    ) -> None:
        self.records: Records = records_of(study)
        self._stopper, self._slots = limits
        self._checkpoints = dict(checkpoints or {})
        self._mode: Mode = mode_of(metric)
        super().__init__(metric=metric, mode=self._mode)
        self._study = study
        self._one_write = one_write
        self._order = order
        self._asked: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Draw the next trial, or resume one that was interrupted.

        Args:
            trial_id: Ray's id of it.

        Returns:
            Its hyperparameters, flat, and under `RESUME_FROM` the state that it resumes from; None
            when the search is at its end, or for now as many run as can.
        """
        if len(self._asked) >= self._slots():
            return None
        trial = None
        with self._stopper.guarding(), self._one_write():
            trial = self._order.ask(self._study, ranked(self.records, self._mode))
        if trial is None or self._stopper.fault is not None:
            return None
        self._asked[trial_id] = trial
        begun = self.records.pop(name_of(trial.number), None)
        if begun is None:
            hand_tuned = bool(trial.user_attrs.get(HAND_TUNED, False))
            begun = TrialRecord(trial.number, trial.params, hand_tuned)
        self.records[trial_id] = replace(begun, fate=None)
        state = self._checkpoints.pop(trial.number, None)
        return dict(trial.params) | ({} if state is None else {RESUME_FROM: state})

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Report an epoch to the study, once."""
        score, epoch = float(result.get(self.metric, math.nan)), int(result[EPOCH])
        record = self.records[trial_id]
        # A retry reports its first epochs again: the study keeps the first report of a step.
        news = epoch > record.reported and math.isfinite(score)
        if news and self._stopper.fault is None:
            with self._stopper.guarding():
                self._asked[trial_id].report(score, epoch)
            record.reported = epoch
        record.see(epoch, score)
        record.note_costs(result)

    def on_trial_complete(
        self,
        trial_id: str,
        result: Mapping[str, Any] | None = None,
        error: bool = False,
        **_: Any,
    ) -> None:
        """Tell the study how a trial ended; without a result, it crashed or never began."""
        record = self.records[trial_id]
        if trial_id not in self._asked:
            return  # reported already: Ray takes our error at a trial's end for the trial's own
        with self._stopper.guarding(), self._one_write():
            if error:
                self._tell(trial_id, "interrupted" if record.retryable else "failed")
            elif not result:
                self._tell(trial_id, "interrupted")
            else:
                record.error = str(result.get("diverged", ""))
                if not record.error:  # the score of a diverged epoch only stands for the worst
                    self.on_trial_result(trial_id, result)  # Ray keeps the last report to itself
                    record.error = self._not_finite(record)
                fate: Fate = "stopped" if record.stopped else "finished"
                self._tell(trial_id, "diverged" if record.error else fate)

    def close(self) -> None:
        """Tell the study that the running trials were interrupted: they wait for a resume."""
        with self._stopper.guarding(), self._one_write():
            for trial_id in list(self._asked):
                self._tell(trial_id, "interrupted")

    def _not_finite(self, record: TrialRecord) -> str:
        score = record.scores.get(record.epochs, math.nan)
        if math.isfinite(score):
            return ""
        return f"{self.metric} must be a finite number, got {score} at epoch {record.epochs}"

    def _tell(self, trial_id: str, fate: Fate) -> None:
        trial, record = self._asked.pop(trial_id), self.records[trial_id]
        record.fate = fate
        attrs = record.user_attrs(self._mode)
        if self._stopper.fault is not None:
            return  # after a torn line, nothing may be appended: the next attempt cuts it off
        for name, value in attrs.items():
            trial.set_user_attr(name, value)
        if fate == "interrupted":
            requeue(self._study, trial)
            return
        state = _STATES.get(fate, TrialState.FAIL)
        objective = attrs["objective"] if state is TrialState.COMPLETE else None
        self._study.tell(trial, objective, state=state, skip_if_finished=True)

    def save(self, checkpoint_path: str) -> None:
        """Write an empty file, as Ray wants one: the state is in the study."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: a search is resumed from its study.

        Raises:
            NotImplementedError: Always.
        """
        msg = f"a search goes on from its study, not from Ray's {checkpoint_path}"
        raise NotImplementedError(msg)

    def __getstate__(self) -> dict[str, Any]:
        kept_by_the_study = {
            "_study",
            "_one_write",
            "_order",
            "_asked",
            "_stopper",
            "_checkpoints",
            "_slots",
        }
        return {
            name: value for name, value in self.__dict__.items() if name not in kept_by_the_study
        }
