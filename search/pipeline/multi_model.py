"""`--model all`: every variant searched in turn, on the same folds, in a folder of its own."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.program import make_console
from analysis.run_folder.digests import NAME, keep_digests
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import read_json, write_json
from search.config.command import command_line
from search.config.default_folder import default_name
from search.config.plan import make_plan
from search.config.serialization import plain, read_settings, restored, with_changes
from search.config.validation import seconds_of
from search.errors import SettingsError
from search.study.lock import locked
from spaces import SPACES
from trainables.config import nearest
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from search.config.settings import SearchSettings
    from trainables.config import Modality

_LEAST_SECONDS = 1
_SHARE_KEPT = 0.5
_SIGNALS = 128  # exit codes above it are those of signals


def settings_by_model(settings: SearchSettings) -> dict[str, SearchSettings]:
    """Derive the settings of each variant, and check them all before any search begins.

    `--backbone`, `--fix` and `--range` go to the variants that know the name. A resumed folder's
    searches keep the settings that they began with, or were to begin with.

    Returns:
        The settings of each search, by variant, in the order of `SPACES`.

    Raises:
        SettingsError: If any value is wrong; one line per fault, with its variant where it is not
            one of all.
    """
    if settings.resume is not None:
        found = _gone_on_with(settings, settings.resume)
        _check(found, [])
        return found
    tuning, modality = settings.tuning, settings.modality
    out = settings.out or Path("runs", default_name(settings.model))
    if RunFolder(out).all_models.exists():
        where = f"got {out}, which holds some; --resume {out} goes on with them"
        msg = f"--out must be a folder without searches, {where}"
        raise SettingsError(msg)
    faults = [
        *_unknown("--backbone", settings.data.backbone, _backbones, modality),
        *_unknown("--fix", tuning.fix, _parameters, modality),
        *_unknown("--range", tuning.range, _parameters, modality),
    ]
    settings = _on_the_same_folds(settings)
    found = {name: _of_model(settings, name, out / name) for name in SPACES}
    _check(found, faults)
    return found


def _on_the_same_folds(settings: SearchSettings) -> SearchSettings:
    """Return settings with the most folds that any model is designed for, unless others are given.

    The models are chosen among by their scores on the same samples, so the folds must be the same.
    """
    if settings.data.folds is not None or settings.data.val is not None:
        return settings
    most = max(VARIANTS[name].folds for name in SPACES)
    folds = 1 if settings.data.split == "lab" else most  # of which there is only one
    return replace(settings, data=replace(settings.data, folds=folds))


def _check(searches: Mapping[str, SearchSettings], faults: list[str]) -> None:
    told: dict[str, list[str]] = {}
    for name, own in searches.items():
        try:
            make_plan(own)
        except SettingsError as error:
            for fault in str(error).splitlines():
                told.setdefault(fault, []).append(name)
    for fault, names in told.items():
        faults.append(fault if len(names) == len(SPACES) else f"{', '.join(names)}: {fault}")
    if faults:
        raise SettingsError("\n".join(faults))


@contextmanager
def in_one_folder(
    settings: SearchSettings, searches: Mapping[str, SearchSettings]
) -> Iterator[RunFolder]:
    """Hold the folder of all searches and what they connect to, and record what they are.

    Args:
        settings: Those of all.
        searches: Those of each, by model.

    Yields:
        The folder; its record goes where no search has begun.
    """
    from search.cluster.connection import kept  # noqa: PLC0415 - Ray: what is wrong shows first

    folder = folder_of(searches)
    with locked(folder, new=False), kept():
        if settings.resume is None:
            write_record(settings, searches)
        try:
            yield folder
        finally:
            forget_record(searches)


def write_record(settings: SearchSettings, searches: Mapping[str, SearchSettings]) -> None:
    """Record the settings of all, so that searches that have not begun can begin on a resume."""
    plans = {name: make_plan(own) for name, own in searches.items()}
    first = next(iter(plans.values())).settings
    folder = folder_of(searches)
    data = replace(settings.data, path=first.data.path)
    whole = replace(settings, out=folder.path, data=data, resources=first.resources)
    each = {name: plain(plan.settings) for name, plan in plans.items()}
    keep_digests(folder.path)
    command = command_line(settings)
    record = {"command": command, "settings": plain(whole), "models": each}
    write_json(folder.all_models, record)


def forget_record(searches: Mapping[str, SearchSettings]) -> None:
    """Remove the record where no search has begun: there is nothing to resume."""
    folder = folder_of(searches)
    if not any(RunFolder(folder.path / name).holds_search() for name in searches):
        for path in (folder.all_models, folder.path / NAME, folder.lock):
            path.unlink(missing_ok=True)


def interrupted(codes: Mapping[str, int]) -> bool:
    """Return whether a signal has ended a search, and so all."""
    return max(codes.values(), default=0) > _SIGNALS


def left_over(searches: Mapping[str, SearchSettings], codes: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence on which searches have not begun and how to resume all, if any can be."""
    waiting = [name for name in searches if name not in codes]
    folder = folder_of(searches)
    goes_on = f"--resume {folder.path} goes on with all models"
    if waiting and not interrupted(codes):
        yield f"no time is left for {', '.join(waiting)}; {goes_on}"
    elif interrupted(codes) and folder.all_models.exists():
        yield goes_on


def folder_of(searches: Mapping[str, SearchSettings]) -> RunFolder:
    """Return the folder that holds the searches."""
    first = next(iter(searches.values()))
    assert first.out is not None
    return RunFolder(first.out.absolute().parent)


def _gone_on_with(settings: SearchSettings, folder: Path) -> dict[str, SearchSettings]:
    missing = "its models were not searched together"
    begun = read_json(RunFolder(folder).all_models, missing)["models"]
    found: dict[str, SearchSettings] = {}
    for name in SPACES:
        run = folder / name
        is_there = RunFolder(run).holds_search()
        kind = type(settings)
        own = read_settings(kind, run) if is_there else restored(kind, begun[name])
        own = with_changes(own, settings)
        found[name] = replace(own, out=run.absolute(), resume=run if is_there else None)
    return found


def numbered(
    searches: Mapping[str, SearchSettings], search: Callable[[SearchSettings], int]
) -> Callable[[SearchSettings], int]:
    """Return what searches one of several models, and says which of them."""

    def run(settings: SearchSettings) -> int:
        number = 1 + list(searches).index(settings.model)
        time = f", {settings.time_budget} for it" if settings.time_budget else ""
        make_console().print(f"\n[dim]model {number} of {len(searches)}{time}[/]", highlight=False)
        return search(settings)

    return run


def deadline_of(searches: Mapping[str, SearchSettings]) -> float:
    """Return when all must be done, on the clock of `time.monotonic`; infinity for no limit."""
    first = next(iter(searches.values()))
    return time.monotonic() + seconds_of("--time-budget", first.time_budget, [])


def search_all(
    searches: Mapping[str, SearchSettings],
    search: Callable[[SearchSettings], int],
    deadline: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, int]:
    """Search each variant; a failed one does not stop the others.

    The time budget is one for all: each may take an equal share of what is left, and half a share
    is kept for what ships where that may be an ensemble of several.

    Args:
        searches: The settings of each, by variant.
        search: Searches one and returns its exit code; one that a signal has ended ends all.
        deadline: When all must be done, on the clock.
        clock: Tells the time in seconds.

    Returns:
        The exit code of each that was begun, by variant.
    """
    codes: dict[str, int] = {}
    selection = next(iter(searches.values())).selection
    kept = _SHARE_KEPT if selection.retrain and selection.may_join else 0.0
    for number, (name, settings) in enumerate(searches.items()):
        share = (deadline - clock()) / (len(searches) - number + kept)
        if share < _LEAST_SECONDS:
            break
        time_budget = None if math.isinf(share) else f"{share:.0f}s"
        codes[name] = search(replace(settings, time_budget=time_budget))
        if codes[name] > _SIGNALS:
            break
    return codes


def _of_model(settings: SearchSettings, name: str, out: Path) -> SearchSettings:
    parameters, tuning = _parameters(name, settings.modality), settings.tuning
    tuning = replace(
        tuning, fix=_known(tuning.fix, parameters), range=_known(tuning.range, parameters)
    )
    words = _known(settings.data.backbone, _backbones(name, settings.modality))
    data = replace(settings.data, backbone=words)
    return replace(settings, model=name, out=out, data=data, tuning=tuning)


def _backbones(name: str, modality: Modality) -> set[str]:
    return {*VARIANTS[name].backbones_for(modality)}


def _parameters(name: str, modality: Modality) -> set[str]:
    variant = VARIANTS[name]
    return {each.name for each in fields(variant.config)} - variant.unread(modality)


def _unknown(
    flag: str,
    words: Iterable[str],
    names_of: Callable[[str, Modality], set[str]],
    modality: Modality,
) -> list[str]:
    names = {each for name in SPACES for each in names_of(name, modality)}
    missing = (_name(word) for word in words if _name(word) not in names)
    return [f"{flag}: no model has {name!r}; {nearest(name, names)}" for name in missing]


def _known(words: Iterable[str], names: Collection[str]) -> tuple[str, ...]:
    return tuple(word for word in words if _name(word) in names)


def _name(word: str) -> str:
    return word.partition("=")[0].strip()
