"""Optuna's study and Ray Tune: the study is the only truth, Ray runs what it asks.

Ray pickles a searcher at every snapshot; ours gives it nothing, because a search that was killed
goes on from the study's own journal with a new `Tuner`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.trials import EPOCH, HAND_TUNED, Records, TrialRecord
from trainables.objective import Mode, mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna

    from search.journal import StudyJournal
    from search.space import Space
    from search.trials import Fate

_STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}


class StudySearcher(Searcher):  # type: ignore[misc]  # Ray has no types
    """Asks the study for trials and tells it how each ended.

    A trial that ran its course is told COMPLETE with the objective at its best epoch, one that
    ASHA stopped PRUNED, and one that crashed, diverged or was cut off FAIL.

    Args:
        study: The study; its direction fits the metric.
        journal: Where it is written.
        space: Draws the hyperparameters of a trial.
        metric: The objective, a key of a trial's reports.
    """

    def __init__(
        self, study: optuna.Study, journal: StudyJournal, space: Space, metric: str
    ) -> None:
        self.records: Records = {}
        self._mode: Mode = mode_of(metric)
        super().__init__(metric=metric, mode=self._mode)
        self._study = study
        self._journal = journal
        self._space = space
        self._asked: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Draw the next trial.

        Args:
            trial_id: Ray's name of it.

        Returns:
            Its hyperparameters, flat.
        """
        with self._journal.one_write():
            trial = self._study.ask()
            self._space(trial)
        self._asked[trial_id] = trial
        hand_tuned = bool(trial.user_attrs.get(HAND_TUNED, False))
        self.records[trial_id] = TrialRecord(trial.number, trial.params, hand_tuned)
        return dict(trial.params)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Report an epoch to the study, once.

        Args:
            trial_id: Ray's name of the trial.
            result: The trial's report, flat.
        """
        score, epoch = float(result.get(self.metric, math.nan)), int(result[EPOCH])
        record = self.records[trial_id]
        # A retry reports its first epochs again: the study keeps the first report of a step.
        if epoch > record.reported and math.isfinite(score):
            self._asked[trial_id].report(score, epoch)
            record.reported = epoch
        record.see(epoch, score)

    def on_trial_complete(
        self,
        trial_id: str,
        result: Mapping[str, Any] | None = None,
        error: bool = False,
        **_: Any,
    ) -> None:
        """Tell the study how a trial ended.

        Args:
            trial_id: Ray's name of the trial.
            result: Its last report, flat; None when it crashed or never began.
            error: Whether it crashed.
        """
        record = self.records[trial_id]
        with self._journal.one_write():
            if error:
                self._tell(trial_id, "failed")
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
        """Tell the study that the trials still running were cut off, and let it go."""
        with self._journal.one_write():
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
        best = record.best(self._mode)
        story = {"fate": fate, "error": record.error, HAND_TUNED: record.hand_tuned}
        if best is not None:
            story |= {"best_epoch": best[0], "objective": best[1]}
        state = _STATES.get(fate, TrialState.FAIL)
        value = best[1] if best is not None and state is TrialState.COMPLETE else None
        for name, fact in story.items():
            trial.set_user_attr(name, fact)
        self._study.tell(trial, value, state=state, skip_if_finished=True)

    def save(self, checkpoint_path: str) -> None:
        """Write the empty file that Ray wants: the truth is in the study.

        Args:
            checkpoint_path: Where Ray wants it.
        """
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: a search goes on from its study.

        Args:
            checkpoint_path: Ray's file.

        Raises:
            NotImplementedError: Always.
        """
        msg = f"a search goes on from its study, not from Ray's {checkpoint_path}"
        raise NotImplementedError(msg)

    def __getstate__(self) -> dict[str, Any]:
        truth = {"_study", "_journal", "_space", "_asked"}
        return {name: value for name, value in self.__dict__.items() if name not in truth}
