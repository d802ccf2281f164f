"""Faults of settings that can be found without looking anything up."""

from __future__ import annotations

import importlib.util
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import outputs
from search.config.address import address_faults, chosen_address, room_faults
from spaces import SPACES
from trainables.config import nearest
from trainables.data.encodings import encoding_faults
from trainables.data.given_splits import GivenSplits
from trainables.data.rows.columns import column_faults
from trainables.data.tags import TagsError, parse_tags
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import is_score, scores_of
from trainables.experiment import on_this_node
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.run_folder.folder import RunFolder
    from search.config.settings import (
        DataSettings,
        ResourceSettings,
        SearchSettings,
        TrackingSettings,
    )


_TRACKERS = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
_LEAST_SHARE = 0.0001  # Ray counts CPUs and GPUs in ten-thousandths
_LEAST_REDUCTION = 1.1  # the nearer to 1, the more rungs; at 1 they never end
_PACKAGES = {"cmaes": "cmaes", "gp": "scipy"}  # samplers by the package each needs


def faults_of(settings: SearchSettings) -> Iterator[str]:
    """Yield one sentence per wrong number or choice."""
    yield from _number_faults(settings)
    yield from _choice_faults(settings)
    yield from _resource_faults(settings.resources)
    yield from _place_faults(settings.resources)
    yield from _tracking_faults(settings.tracking)


def _number_faults(settings: SearchSettings) -> Iterator[str]:
    tuning, drawn = settings.tuning, settings.data.folds
    counts = {
        "--trials": (settings.trials, 1_000_000),
        "--folds": (drawn if isinstance(drawn, int) else None, 1_000),
        "--repeats": (settings.data.repeats, 1_000),
        "--epochs": (tuning.epochs, 1_000_000),
        "--grace-epochs": (tuning.grace_epochs, 1_000_000),
        "--final-seeds": (settings.selection.final_seeds, 1_000),
        "--max-concurrent": (settings.resources.max_concurrent, 1_000_000),
    }
    for flag, (count, most) in counts.items():
        if count is not None and not 1 <= count <= most:
            yield f"{flag} must be {'>= 1' if count < 1 else f'<= {most}'}, got {count}"
    if not _LEAST_REDUCTION <= tuning.reduction_factor < math.inf:
        yield f"--reduction-factor must be >= {_LEAST_REDUCTION}, got {tuning.reduction_factor:g}"
    if not 0 <= settings.seed < 2**32:
        yield f"--seed must be in [0, 4294967295], got {settings.seed}"


def _resource_faults(resources: ResourceSettings) -> Iterator[str]:
    gpus, cpus = resources.gpus_per_trial, resources.cpus_per_trial
    gpus = None if isinstance(gpus, str) else gpus  # auto
    if gpus is not None and gpus and not _LEAST_SHARE <= gpus < math.inf:
        yield f"--gpus-per-trial must be 0, or >= {_LEAST_SHARE}, got {gpus:g}"
    elif gpus is not None and gpus > 1 and not gpus.is_integer():
        yield f"--gpus-per-trial must be a whole number when above 1, got {gpus:g}"
    if cpus is not None and not _LEAST_SHARE <= cpus < math.inf:
        yield f"--cpus-per-trial must be >= {_LEAST_SHARE}, got {cpus:g}"


def _place_faults(resources: ResourceSettings) -> Iterator[str]:
    yield from address_faults(resources.address)
    if chosen_address(resources.address) is None:
        yield from room_faults()
    if resources.no_cache and resources.cache is not None:
        yield "--cache and --no-cache must not be given together"
    if resources.cache is not None:
        try:
            on_this_node(resources.cache)
        except ValueError as error:
            yield f"--cache: {error}"


def _tracking_faults(settings: TrackingSettings) -> Iterator[str]:
    for name, package in _TRACKERS.items():
        if getattr(settings, name) and importlib.util.find_spec(package) is None:
            yield f"--{name} needs the package {package}; pip install {package}"


def _choice_faults(settings: SearchSettings) -> Iterator[str]:
    metric, sampler = settings.tuning.metric, settings.tuning.sampler
    if not (metric.startswith("val_") and is_score(metric)):
        known = [f"val_{name}" for name in scores_of(SENTIMENTS)]
        yield f"--metric must be a metric of a trial, got {metric!r}; {nearest(metric, known)}"
    try:
        parse_tags(settings.data.tags)
    except TagsError as error:
        yield str(error)
    yield from column_faults(settings.data.columns)
    yield from encoding_faults(settings.data.encoding)
    if settings.data.missing == "allow" and settings.modality != "both":
        other = {"text": "images", "image": "texts"}[settings.modality]
        got = f"got {settings.modality}: {other} are not read"
        yield f"--missing allow must go with --modality both, {got}"
    package = _PACKAGES.get(sampler)
    if package and importlib.util.find_spec(package) is None:
        yield f"--sampler {sampler} needs the package {package}; pip install {package}"


def folder_faults(folder: RunFolder, *, resumed: bool) -> Iterator[str]:
    """Yield a sentence if a search, new or resumed, cannot write to a folder."""
    found = list(outputs.folder_faults("--resume" if resumed else "--out", folder.path))
    yield from found
    if not found and not resumed and folder.holds_search():
        where = f"got {folder.path}, which holds one; --resume {folder.path} goes on with it"
        yield f"--out must be a folder without a search, {where}"


def cache_faults(cache: Path, resources: ResourceSettings) -> Iterator[str]:
    """Yield a sentence if the cache cannot be used here; on a cluster, each node checks its own.

    Args:
        cache: Its folder; one that others have filled may be read-only.
        resources: What was asked.

    Yields:
        The sentence.
    """
    try:
        here = on_this_node(cache)
        is_filled = here.is_dir() and any(here.iterdir())
        if is_filled or chosen_address(resources.address) is not None:
            return
    except ValueError:  # reported already
        return
    except OSError as error:
        yield f"--cache must be a folder that can be read, got {cache}: {error.strerror}"
        return
    flag = "--cache" if resources.cache is not None else "without --cache DIR, the user's cache"
    yield from outputs.folder_faults(flag, here)


def split_faults(data: DataSettings, *, demo: bool) -> Iterator[str]:
    """Yield one sentence per fault in how the data are to be split, and of the files that do.

    Args:
        data: What was asked.
        demo: Whether the data are the built-in ones.

    Yields:
        The sentences.
    """
    given = GivenSplits(data.val, data.test, list_of_folds(data))
    for flag, path in given.files.items():
        if not path.is_file():
            yield f"{flag} must be a list of pairs, got {path}, which is no file"
    if given.files and demo:
        yield f"{' and '.join(given.files)} must go with --data of your own, got the demo"
    owned = {"--tags": data.tags, "--fallback-class": data.fallback_class}
    for flag, value in {**owned, "--columns": data.columns}.items():
        if value and demo:
            yield f"{flag} must go with --data of your own, got the demo"
    if data.val and data.folds not in {None, 1}:  # 1 is what it comes to
        yield f"--folds must be left out beside --val, which says what validates, got {data.folds}"
    if given.folds or data.val:
        yield from given_split_faults(data)


def given_split_faults(data: DataSettings) -> Iterator[str]:
    """Yield one sentence per setting that cannot go with a split that is given."""
    if data.repeats > 1:
        yield f"--repeats must be 1 for a split that is given, got {data.repeats}"
    if data.split == "lab":
        yield "--split lab must be left out, as another split is given"


def list_of_folds(data: DataSettings) -> Path | None:
    """Return the list of given folds; None where folds are drawn."""
    return data.folds if isinstance(data.folds, Path) else None


def held(settings: SearchSettings) -> tuple[str, ...]:
    """Hold what a flag decides for all trials: the neutral threshold, and how inputs are made.

    Args:
        settings: What was asked.

    Returns:
        The words of `--fix`, with one more for each flag that says otherwise than the model's own
        settings, unless `--fix` or `--range` name the same.
    """
    tuning, variant = settings.tuning, VARIANTS[settings.model]
    named = {word.partition("=")[0].strip() for word in (*tuning.fix, *tuning.range)}
    held = {} if settings.selection.decision == "searched" else {"neutral_threshold": "0"}
    for name, own in asdict(variant.inputs).items():
        asked = getattr(settings.data, name)
        if name in SPACES[variant.name] and asked not in {None, own}:
            held[name] = asked
    more = (f"{name}={value}" for name, value in held.items() if name not in named)
    return (*tuning.fix, *more)


def selection_faults(settings: SearchSettings, folds: int) -> Iterator[str]:
    """Yield one sentence per fault in how the config is to be chosen."""
    selection = settings.selection
    if selection.confirm is not None and selection.confirm < 0:
        yield f"--confirm must be >= 0, got {selection.confirm}"
    size = selection.ensemble_size
    if size is not None and (size < 0 or size == 1):
        yield f"--ensemble-size must be 0 or >= 2, got {size}"
    if selection.final == "ensemble" and (size == 0 or selection.confirm == 0):
        none = "--ensemble-size" if size == 0 else "--confirm"
        yield f"--final ensemble needs {none} >= {2 if size == 0 else 1}, got 0"
    if selection.final in {"average", "folds"} and folds < 2:
        yield f"--final {selection.final} needs --folds >= 2, got {folds}"


_TIME = re.compile(r"(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m)?(?:(?P<s>[\d.]+)s?)?")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def seconds_of(flag: str, text: str | None, faults: list[str]) -> float:
    """Parse a duration such as `90s`, `20m` or `1h30m`; a fault is added to `faults`.

    Returns:
        The seconds; infinity for None, no limit.
    """
    if text is None:
        return math.inf
    match = _TIME.fullmatch(text.strip().lower())
    try:
        parts = match.groupdict(default="0") if match else {}
        seconds = sum(float(parts[unit]) * size for unit, size in _UNITS.items() if parts)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        faults.append(f"{flag} must be a time such as 90s, 20m or 1h30m, got {text!r}")
    return seconds
