"""Ray Tune on the study: the tuner and its failure policy."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.execution import class_cache

from search.cluster.resources import RETRIES, asking_for
from search.study.frozen_first import Order
from search.study.resume import put_right
from search.study.sampler import begin
from search.study.trial import outcomes
from search.tune.callbacks import Watchdog
from search.tune.checkpoints import Attempts
from search.tune.scheduler import FiniteASHA
from search.tune.searcher import Limits, StudySearcher
from search.tune.stopper import SearchStopper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import optuna
    from ray.tune.experiment import Trial

    from search.cluster.resources import TrialResources
    from search.config.plan import Plan
    from search.study.trial import Records


@dataclass(frozen=True)
class Search:
    """A search that can run: the study, and what listens to its trials.

    Attributes:
        plan: What to search.
        study: The study.
        searcher: Asks it for trials and reports to it.
        stopper: Ends the search early.
    """

    plan: Plan
    study: optuna.Study
    searcher: StudySearcher
    stopper: SearchStopper

    @property
    def records(self) -> Records:
        """The trials so far."""
        return self.searcher.records

    def run(
        self,
        trainable: type[tune.Trainable] | Callable[..., Any],
        resources: TrialResources,
        callbacks: Sequence[tune.Callback],
        most: int | None = None,
    ) -> None:
        """Run the missing trials, at most `most`; those that are interrupted wait for a resume.

        Args:
            trainable: Ray's trainable: one step is one epoch.
            resources: What one trial gets.
            callbacks: Receive every report; the first must take the arrays out of it.
            most: Maximum number of trials; None for all.
        """
        missing = self.plan.settings.trials - outcomes(self.records)
        missing = missing if most is None else min(missing, most)
        if missing <= 0:
            return
        watchdog = Watchdog(self.records, self.stopper, self.plan.trial_timeout)
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources.request),
            tune_config=self._tune_config(missing),
            run_config=self._run_config([*callbacks, watchdog]),
        )
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # our own view names the errors
        try:
            with self.stopper.listening(), self._room(resources, missing), self._processes():
                tuner.fit()
        finally:
            self.searcher.close()

    def _room(self, resources: TrialResources, missing: int) -> AbstractContextManager[None]:
        if self.plan.address is None:
            return nullcontext()
        most = self.plan.settings.resources.max_concurrent
        return asking_for(resources, min(missing, most or missing))

    def _processes(self) -> AbstractContextManager[None]:
        return in_any_process() if self.plan.address is None else nullcontext()

    def _tune_config(self, missing: int) -> tune.TuneConfig:
        settings = self.plan.settings
        scheduler = FiniteASHA(
            self.records,
            settings.tuning.metric,
            max_epochs=self.plan.epochs,
            grace_epochs=self.plan.grace_epochs,
            reduction_factor=settings.tuning.reduction_factor,
        )
        scheduler.rebuild(self.study.get_trials(deepcopy=False))
        return tune.TuneConfig(
            num_samples=missing,
            search_alg=self.searcher,
            scheduler=scheduler,
            trial_dirname_creator=_TrialFolders(self.records),
            reuse_actors=settings.resources.reuse_actors,
        )

    def _run_config(self, callbacks: list[tune.Callback]) -> tune.RunConfig:
        return tune.RunConfig(
            name=Attempts(self.plan.storage).next_name(),
            storage_path=self.plan.storage,
            stop=self.stopper,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_at_end=False),
            verbose=0,
            progress_reporter=Silent(),
        )


class Silent(tune.ProgressReporter):  # type: ignore[misc]  # Ray has no types
    """Reports nothing: that of Ray for notebooks clears the cell even where it is to be quiet."""

    def should_report(self, *_: Any, **__: Any) -> bool:
        """Return that there is nothing to report."""
        return False


@contextmanager
def in_any_process() -> Iterator[None]:
    """Let trials run in the processes that Ray holds ready.

    Tune asks for processes with some variables of their own, so that Ray would start others. Those
    of a Ray that was started here have inherited them from the driver.
    """
    own, passed_on = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = own, passed_on


class _TrialFolders:
    """Names Ray's folder of a trial by the trial's number, so that a later attempt finds it."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def __call__(self, trial: Trial) -> str:
        return f"trial-{self._records[trial.trial_id].number}"

    def __deepcopy__(self, memo: dict[int, Any]) -> _TrialFolders:
        return self  # Ray copies what a trial is made from; the records are shared

    def __getstate__(self) -> dict[str, Any]:
        return {"_records": {}}  # Ray writes it with every trial


def open_search(
    plan: Plan,
    deadline: float,
    slots: Callable[[], int],
    to_keep: Callable[[Records], float] = lambda _: 0.0,
) -> Search:
    """Create the study of a search, or resume it.

    Args:
        plan: What to search.
        deadline: When all must be done, on the clock of `time.monotonic`; infinity for no limit.
        slots: Returns how many trials can run at a time.
        to_keep: Returns how many of the seconds left are for what comes after the trials so far.

    Returns:
        The search, before its first trial of this attempt.
    """
    settings = plan.settings
    place = plan.open_storage()
    study = plan.open_study(place)
    begun = 1 + len(plan.warm_start)
    order = Order.of(plan.space, plan.backbones, settings.trials)
    begin(study, plan.hand_tuned, plan.warm_start, order.frozen(begun))
    put_right(study)
    stopper = SearchStopper(deadline, lambda: to_keep(searcher.records))
    searcher = StudySearcher(
        study,
        place.one_write,
        order,
        settings.tuning.metric,
        limits=Limits(stopper, slots),
        checkpoints=Attempts(plan.storage).checkpoints(),
    )
    return Search(plan, study, searcher, stopper)
