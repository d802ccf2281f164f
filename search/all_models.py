"""`--model all`: every variant searched in turn, each in a folder of its own, then compared."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.comparison import compare
from analysis.formats import to_terminal
from analysis.run import load
from analysis.scores import DECISION_SCORES
from search.errors import SettingsError
from search.plan import make_plan
from spaces import SPACES
from trainables.config import nearest
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from rich.console import Console

    from search.settings import SearchSettings
    from trainables.config import Modality

_SIGNALS = 128  # exit codes above it are those of signals


def settings_by_model(settings: SearchSettings) -> dict[str, SearchSettings]:
    """Say what is searched of each variant, and check all of it before any search begins.

    `--backbone`, `--fix` and `--range` go to the variants that know the name.

    Args:
        settings: What the command line asks for, of all.

    Returns:
        The settings of each search, by variant, in the order of `SPACES`.

    Raises:
        SettingsError: If any value is wrong; one line per fault, with its variant where it is not
            one of all.
    """
    tuning, modality = settings.tuning, settings.modality
    out = settings.out or Path("runs") / f"all-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    faults = [
        *_unknown("--backbone", settings.data.backbone, _backbones, modality),
        *_unknown("--fix", tuning.fix, _parameters, modality),
        *_unknown("--range", tuning.range, _parameters, modality),
    ]
    found = {name: _of_model(settings, name, out / name) for name in SPACES}
    told: dict[str, list[str]] = {}
    for name, own in found.items():
        try:
            make_plan(own)
        except SettingsError as error:
            for fault in str(error).splitlines():
                told.setdefault(fault, []).append(name)
    for fault, names in told.items():
        faults.append(fault if len(names) == len(SPACES) else f"{', '.join(names)}: {fault}")
    if faults:
        raise SettingsError("\n".join(faults))
    return found


def print_comparison(
    console: Console, searches: Iterable[SearchSettings], *, reference: bool
) -> None:
    """Print one table of all variants.

    Args:
        console: Where to.
        searches: The settings of each search that came to something.
        reference: Whether what was published on this data set is shown beside them.
    """
    runs: list[Any] = []
    metric = "weighted_f1"
    for settings in searches:
        assert settings.out is not None
        runs.append(load(settings.out))
        metric = settings.tuning.metric.removeprefix("val_")
    if not runs:
        return
    metric = metric if metric in DECISION_SCORES else "weighted_f1"
    console.print()
    to_terminal(compare(runs, metric=metric, reference=reference), console)


def search_all(
    searches: Mapping[str, SearchSettings], search: Callable[[SearchSettings], int]
) -> dict[str, int]:
    """Search each variant; one of which nothing comes does not keep the others.

    Args:
        searches: The settings of each, by variant.
        search: Searches one and gives its exit code; one that a signal has ended ends all.

    Returns:
        The exit code of each that was begun, by variant.
    """
    codes: dict[str, int] = {}
    for name, settings in searches.items():
        codes[name] = search(settings)
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
