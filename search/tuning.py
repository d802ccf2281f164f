"""Ray Tune at work on the study: the tuner, its failure policy, and how it is cut off."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ray import tune
from ray.tune.stopper import Stopper

from search.journal import StudyJournal
from search.reserve import seconds_to_keep
from search.scheduler import FiniteASHA
from search.searcher import StudySearcher
from search.study import begin, open_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    import optuna
    from ray.tune.experiment import Trial

    from search.cluster import TrialResources
    from search.plan import Plan
    from search.trials import Records

_MAX_RETRIES = 2  # a crash may be bad luck twice; then it is the trial's own fault


class CutOff(Stopper):  # type: ignore[misc]  # Ray has no types
    """Ends the search when its time is up or the user asks.

    Args:
        deadline: On the clock of `time.monotonic`; infinity for no limit.
        keep: Says how many seconds before it to end, for what comes after; asked now and then.
    """

    def __init__(self, deadline: float, keep: Callable[[], float] = lambda: 0.0) -> None:
        self.reason: Literal["", "time budget", "interrupted"] = ""
        self._deadline = deadline
        self._keep = keep

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002  # Ray's
        """Let every trial go on: its own end is the scheduler's business.

        Args:
            trial_id: Ray's name of the trial.
            result: Its report.

        Returns:
            False.
        """
        return False

    def stop_all(self) -> bool:
        """Say whether the search is to end.

        Returns:
            True once there is a reason.
        """
        if self.reason or math.isinf(self._deadline):
            return bool(self.reason)
        if time.monotonic() >= self._deadline - self._keep():
            self.reason = "time budget"
        return bool(self.reason)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first Ctrl-C as the wish to end well; the second ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # Python's
            self.reason = "interrupted"
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Search:
    """A search that can run: the study, and what listens to its trials.

    Attributes:
        plan: What to search.
        study: The study.
        searcher: Asks it and tells it.
        cut_off: Ends the search early.
    """

    plan: Plan
    study: optuna.Study
    searcher: StudySearcher
    cut_off: CutOff

    @property
    def records(self) -> Records:
        """The trials so far."""
        return self.searcher.records

    def run(
        self,
        trainable: type[tune.Trainable] | Callable[..., Any],
        resources: TrialResources,
        callbacks: Sequence[tune.Callback],
    ) -> None:
        """Run the trials; those still running when it is cut off are told as interrupted.

        Args:
            trainable: Ray's trainable: one step is one epoch.
            resources: What one trial gets.
            callbacks: Hear of every report; the first is to take the arrays out of it.
        """
        settings, folder = self.plan.settings, self.plan.folder
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources.request),
            tune_config=tune.TuneConfig(
                num_samples=settings.trials,
                search_alg=self.searcher,
                scheduler=FiniteASHA(
                    self.records,
                    settings.tuning.metric,
                    max_epochs=settings.tuning.epochs,
                    grace_epochs=self.plan.grace_epochs,
                    reduction_factor=settings.tuning.reduction_factor,
                ),
                # Left to Ray, actors that are reused run one trial at a time.
                max_concurrent_trials=resources.slots,
                trial_dirname_creator=_trial_folder,
                reuse_actors=settings.resources.reuse_actors,
            ),
            run_config=tune.RunConfig(
                name="attempt-1",
                storage_path=str(folder.ray),
                stop=self.cut_off,
                callbacks=list(callbacks),
                failure_config=tune.FailureConfig(max_failures=_MAX_RETRIES),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_at_end=False),
                verbose=0,
            ),
        )
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # our own view names the errors
        try:
            with self.cut_off.listening():
                tuner.fit()
        finally:
            self.searcher.close()


def _trial_folder(trial: Trial) -> str:
    return f"trial-{trial.trial_id}"  # Ray's own name spells every hyperparameter


def open_search(plan: Plan, deadline: float, slots: int = 1) -> Search:
    """Begin the study of a search.

    Args:
        plan: What to search.
        deadline: When all is to be done, on the clock of `time.monotonic`; infinity for no limit.
        slots: How many workers the stages after the trials will have.

    Returns:
        The search, before its first trial.
    """
    settings = plan.settings
    journal = StudyJournal(plan.folder.study)
    study = open_study(
        journal,
        settings.model,
        settings.tuning.metric,
        settings.tuning.sampler,
        settings.seed,
    )
    begin(study, plan.hand_tuned, plan.warm_start)
    searcher = StudySearcher(study, journal, plan.space, settings.tuning.metric)
    cut_off = CutOff(deadline, lambda: seconds_to_keep(plan, searcher.records, slots))
    return Search(plan, study, searcher, cut_off)
