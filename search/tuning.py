"""Ray Tune at work on the study: the tuner and its failure policy."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray import tune

from search.cut_off import CutOff
from search.reserve import seconds_to_keep
from search.revival import checkpoints_of, next_attempt, revive
from search.scheduler import FiniteASHA
from search.searcher import StudySearcher
from search.study import begin, open_study
from search.study_place import open_place
from search.trials import outcomes
from search.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import optuna
    from ray.tune.experiment import Trial

    from search.cluster import TrialResources
    from search.plan import Plan
    from search.trials import Records

_MAX_RETRIES = 2  # a crash may be bad luck twice; then it is the trial's own fault


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
        """Run the trials that are missing; those still running when it is cut off wait.

        Args:
            trainable: Ray's trainable: one step is one epoch.
            resources: What one trial gets.
            callbacks: Hear of every report; the first is to take the arrays out of it.
        """
        missing = self.plan.settings.trials - outcomes(self.records)
        if missing <= 0:
            return
        watch = Watch(self.records, self.cut_off, self.plan.trial_timeout)
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources.request),
            tune_config=self._tune_config(missing, resources.slots),
            run_config=self._run_config([*callbacks, watch]),
        )
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # our own view names the errors
        try:
            with self.cut_off.listening():
                tuner.fit()
        finally:
            self.searcher.close()

    def _tune_config(self, missing: int, slots: int) -> tune.TuneConfig:
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
            # Left to Ray, actors that are reused run one trial at a time.
            max_concurrent_trials=slots,
            trial_dirname_creator=_TrialFolders(self.records),
            reuse_actors=settings.resources.reuse_actors,
        )

    def _run_config(self, callbacks: list[tune.Callback]) -> tune.RunConfig:
        storage = self.plan.folder.ray
        return tune.RunConfig(
            name=next_attempt(storage),
            storage_path=str(storage),
            stop=self.cut_off,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=_MAX_RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_at_end=False),
            verbose=0,
        )


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


def open_search(plan: Plan, deadline: float, slots: int = 1) -> Search:
    """Begin the study of a search, or go on with it.

    Args:
        plan: What to search.
        deadline: When all is to be done, on the clock of `time.monotonic`; infinity for no limit.
        slots: How many workers the stages after the trials will have.

    Returns:
        The search, before its first trial of this attempt.
    """
    settings = plan.settings
    place = open_place(plan)
    study = open_study(
        place.storage,
        place.name,
        settings.tuning.metric,
        settings.tuning.sampler,
        settings.seed,
    )
    begin(study, plan.hand_tuned, plan.warm_start)
    revive(study)
    cut_off = CutOff(deadline, lambda: seconds_to_keep(plan, searcher.records, slots))
    searcher = StudySearcher(
        study,
        place.one_write,
        plan.space,
        settings.tuning.metric,
        cut_off=cut_off,
        checkpoints=checkpoints_of(plan.folder.ray),
    )
    return Search(plan, study, searcher, cut_off)
