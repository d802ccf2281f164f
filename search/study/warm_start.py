"""Configs to begin with: the best of earlier runs of the same variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
from optuna.trial import TrialState

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import ResultsError
from analysis.run_folder.study_storage import open_storage
from trainables.modules.backbones.weights import local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from spaces.space import Space

_PER_RUN = 3


class WarmStart(NamedTuple):
    """A config that a search begins with.

    Attributes:
        params: Its hyperparameters, inside the space.
        origin: The run and the trial that it comes from, for people.
    """

    params: Mapping[str, Any]
    origin: str


def warm_starts(
    paths: Sequence[Path], space: Space, model: str, modality: str
) -> tuple[tuple[WarmStart, ...], list[str]]:
    """Read the best configs of earlier runs.

    Args:
        paths: Their folders.
        space: The narrowed space; what an earlier run did not search keeps its default.
        model: The variant that is searched now; theirs must be the same.
        modality: What it reads; theirs must be the same.

    Returns:
        Up to three distinct configs of each run, the confirmed ones first, and one sentence per
        run that cannot be used.
    """
    found: list[WarmStart] = []
    faults: list[str] = []
    for path in paths:
        folder = RunFolder(local_path(path).absolute())
        try:
            faults += _misfits(folder, model, modality)
            best = _best_params(folder)
        except (ResultsError, KeyError, OSError) as error:
            faults.append(f"--warm-start: {error}")
            continue
        for number, params in best:
            inside = space.inside(params)
            if all(inside != dict(other.params) for other in found):
                found.append(WarmStart(inside, f"trial {number} of {folder.path.name}"))
    return tuple(found), faults


def _misfits(folder: RunFolder, model: str, modality: str) -> Iterable[str]:
    search = folder.read_search()
    for name, mine, theirs in (
        ("model", model, search.model),
        ("modality", modality, search.modality),
    ):
        if theirs != mine:
            yield f"--warm-start must name runs of {name} {mine}, got {folder.path} of {theirs}"


def _best_params(folder: RunFolder) -> list[tuple[int, dict[str, Any]]]:
    """Return the best trials, in the order of their confirmed scores if they were confirmed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, name = open_storage(folder)
    study = optuna.load_study(study_name=name, storage=storage)
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    confirmed = (folder.read_best().candidates or ()) if folder.best.exists() else ()
    order = [candidate.trial for candidate in confirmed]
    scored = sorted(ended, key=lambda trial: -sign * (trial.value or 0.0))
    order += [trial.number for trial in scored if trial.number not in order]
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    return [(number, dict(trials[number].params)) for number in order[:_PER_RUN]]
