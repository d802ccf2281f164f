"""The Optuna study of a search, opened or created."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import optuna

from search.study.trial import HAND_TUNED
from trainables.evaluation.metrics import mode_of
from trainables.seeds import stream_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from search.study.warm_start import WarmStart

SamplerName = Literal["tpe", "random", "cmaes", "gp"]

_DIRECTIONS: Mapping[str, Literal["maximize", "minimize"]] = {"max": "maximize", "min": "minimize"}


def open_study(
    storage: BaseStorage, name: str, metric: str, sampler: SamplerName, seed: int
) -> optuna.Study:
    """Open the study in a storage, or create it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction=_DIRECTIONS[mode_of(metric)],
        load_if_exists=True,
    )
    study.sampler = make_sampler(sampler, seed)
    return study


class _Random(optuna.samplers.RandomSampler):
    """Draws each trial from a stream of its own, so that a resumed search draws the same.

    Optuna's samplers have a public way to be seeded at random, and none to be seeded by the trial.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seed = seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._rng.rng.seed(stream_seed(self._seed, trial.number))
        super().before_trial(study, trial)


class _TPE(optuna.samplers.TPESampler):
    """As `_Random`: its draws depend on earlier trials alone, not on when it was started."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        for rng in (self._rng, self._random_sampler._rng):
            rng.rng.seed(stream_seed(self._seed, trial.number))
        super().before_trial(study, trial)


def make_sampler(name: SamplerName, seed: int) -> BaseSampler:
    """Make a sampler: `tpe` with Optuna's defaults, `random`, `cmaes` or `gp`.

    With the first two, a resumed search draws as an unbroken one.

    Returns:
        The sampler.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return _TPE(seed)
            case "random":
                return _Random(seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)


def begin(
    study: optuna.Study,
    hand_tuned: Mapping[str, Any],
    warm_start: Sequence[WarmStart] = (),
    held: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Enqueue the hand-tuned config as the first trial of a new study, and then earlier runs'.

    Args:
        study: The study; one that has trials stays as it is.
        hand_tuned: Parameter values by name, inside the space.
        warm_start: Configs of earlier runs, inside the space.
        held: Of trials after these, the hyperparameters that are not drawn.
    """
    if study.get_trials(deepcopy=False):
        return
    study.enqueue_trial(dict(hand_tuned), user_attrs={HAND_TUNED: True})
    for one in warm_start:
        if dict(one.params) != dict(hand_tuned):
            study.enqueue_trial(dict(one.params), user_attrs={"warm_start": one.origin})
    for params in held:
        study.enqueue_trial(dict(params))
