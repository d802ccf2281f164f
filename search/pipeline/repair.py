"""Repair the run folder of a resumed search: damage there is reported before anything is run.

What follows from the study or can be computed again is set aside and made anew. What cannot is
refused, with what helps.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from analysis.run_folder import digests
from analysis.run_folder.io import DamageError, ResultsError
from search.errors import SettingsError
from search.study.trial import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from analysis.run_folder.folder import RunFolder
    from search.config.plan import Plan

_MOST_NAMES = 5


def put_right(plan: Plan) -> list[str]:
    """Check the files of a resumed search, and set aside what is to be made anew.

    Args:
        plan: The search; its folder is locked.

    Returns:
        What was set aside, is gone or runs again, in sentences.

    Raises:
        SettingsError: If what cannot be made anew is damaged, or the study has lost trials that
            the table of trials has; one line per fault.
    """
    notes, faults = _lost_trials(plan)
    for path, read, again in _files(plan.folder):
        fault = _fault_of(path, read)
        if fault and again:
            notes.append(f"{path} {_set_aside(path)}; it is made anew")
        elif fault and path.exists():
            faults.append(fault)
        elif fault:
            notes.append(f"{path} is gone: the search goes on without it")
            digests.forget(path)
    if faults:
        raise SettingsError("\n".join(faults))
    return notes


def _files(folder: RunFolder) -> Iterator[tuple[Path, Callable[[], object], bool]]:
    """List what was written, how it is read, and whether a resumed search makes it anew."""
    yield folder.history, folder.read_history, False
    for path, read in (
        (folder.trials, folder.read_trials),
        (folder.best, folder.read_best),
        (folder.importances, folder.read_importances),
        (folder.fusions, folder.read_fusions),
        (folder.samples, folder.read_samples),
        (folder.stages, folder.read_stages),
        (folder.baseline, folder.read_baseline),
        (folder.rung_zero, folder.read_rung_zero),
        (folder.rung_zero_probabilities, folder.read_rung_zero_probabilities),
        (folder.reported, folder.read_reported),
        (folder.ensemble, folder.read_ensemble),
        (folder.member_regressions, folder.read_member_regressions),
        (folder.predictions, folder.read_predictions),
        (folder.test_scores, folder.read_test_scores),
        (folder.probabilities, folder.read_probabilities),
    ):
        yield path, read, True
    noted = [folder.path / name for name in digests.digests_of(folder.path)]
    for place, read_one, again in (
        (folder.trial_probabilities(0), folder.read_trial_probabilities, False),
        (folder.test_probabilities(0), folder.read_test_probabilities, True),
        (folder.confirmation(0), folder.read_courses, True),
    ):
        there = {*place.parent.glob("*.parquet"), *(p for p in noted if p.parent == place.parent)}
        for path in sorted(path for path in there if path.stem.isdecimal()):
            yield path, partial(read_one, int(path.stem)), again


def _fault_of(path: Path, read: Callable[[], object]) -> str:
    if not path.exists() and not digests.is_noted(path):
        return ""
    try:
        read()
    except ResultsError as error:
        return str(error)
    return ""


def _set_aside(path: Path) -> str:
    digests.forget(path)
    # They are made together with the config's out-of-fold predictions.
    if path.parent.name == "test_probabilities":
        twin = path.parents[1] / "confirmations" / path.name
        if twin.exists():
            _set_aside(twin)
    if not path.exists():
        return "is gone"
    aside = path.with_name(f"{path.name}.damaged")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}.damaged")
    path.rename(aside)
    return f"is damaged and was set aside as {aside.name}"


def _lost_trials(plan: Plan) -> tuple[list[str], list[str]]:
    """Compare the study with the table of trials; return notes and faults."""
    folder = plan.folder
    in_file = plan.settings.resources.study_storage is None
    try:
        ended = _ended_by_table(folder)
        missing = sorted(ended - _ended_by_study(plan, in_file))
        if missing and plan.rerun_lost:
            folder.note_study()
        elif in_file and not missing and (folder.study.exists() or digests.is_noted(folder.study)):
            folder.read_study()
    except DamageError as error:
        return [], [str(error)]
    if not missing:
        return [], []
    shown = ", ".join(map(str, missing[:_MOST_NAMES])) + ", ..." * (len(missing) > _MOST_NAMES)
    if plan.rerun_lost:
        return [f"trials that the study has lost run again: {shown}"], []
    place = folder.study if in_file else f"the study {plan.name}"
    return [], [
        f"{place} must hold the {len(ended)} trials that {folder.trials.name} says have ended, got"
        f" all but {len(missing)} ({shown}); put back a copy of it, or add --rerun-lost, and they"
        " run again"
    ]


def _ended_by_table(folder: RunFolder) -> set[int]:
    try:
        table = folder.read_trials()
    except ResultsError:  # missing, or reported as damaged beside this
        return set()
    return set(table.loc[table["fate"].isin(OUTCOMES), "trial"].astype(int))


def _ended_by_study(plan: Plan, in_file: bool) -> set[int]:
    from analysis.run_folder.study_storage import replay  # noqa: PLC0415 - Optuna, where it is needed

    if in_file:
        if not plan.folder.study.exists():
            return set()
        storage, name = replay(plan.folder)
    else:
        place = plan.open_storage()
        storage, name = place.storage, place.name
    trials = storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)
    return {trial.number for trial in trials if trial.state.is_finished()}
