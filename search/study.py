"""The Optuna study of a search, opened or begun."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.storages import JournalStorage

from search.trials import HAND_TUNED
from trainables.objective import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.samplers import BaseSampler

    from search.journal import StudyJournal
    from search.warm_start import WarmStart

SamplerName = Literal["tpe", "random", "cmaes", "gp"]

_DIRECTIONS: Mapping[str, Literal["maximize", "minimize"]] = {"max": "maximize", "min": "minimize"}


def open_study(
    journal: StudyJournal, name: str, metric: str, sampler: SamplerName, seed: int
) -> optuna.Study:
    """Open the study in a journal, or begin it.

    Args:
        journal: The file.
        name: The study's name.
        metric: The objective.
        sampler: Draws its trials.
        seed: Seeds the sampler; an old study goes on with other draws than it began with.

    Returns:
        The study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(journal),
        study_name=name,
        direction=_DIRECTIONS[mode_of(metric)],
        load_if_exists=True,
    )
    begun = len(study.get_trials(deepcopy=False))
    study.sampler = make_sampler(sampler, (seed + begun) % 2**32)
    return study


def make_sampler(name: SamplerName, seed: int) -> BaseSampler:
    """Make a sampler.

    Args:
        name: `tpe` with Optuna's defaults, `random`, `cmaes` or `gp`.
        seed: Seeds it.

    Returns:
        The sampler.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)


def begin(
    study: optuna.Study, hand_tuned: Mapping[str, Any], warm_start: Sequence[WarmStart] = ()
) -> None:
    """Make the hand-tuned config the first trial of a new study, and those of earlier runs next.

    Args:
        study: The study; one that has trials stays as it is.
        hand_tuned: Parameter values by name, inside the space.
        warm_start: Configs of earlier runs, inside the space.
    """
    if study.get_trials(deepcopy=False):
        return
    study.enqueue_trial(dict(hand_tuned), user_attrs={HAND_TUNED: True})
    for one in warm_start:
        if dict(one.params) != dict(hand_tuned):
            study.enqueue_trial(dict(one.params), user_attrs={"warm_start": one.origin})
