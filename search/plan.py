"""From settings to a search that can start: every fault of the settings is found here, at once."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.results import RunFolder
from search.durations import seconds_of
from search.narrowing import narrow
from search.selection_settings import held, selection_faults
from search.settings import ALL, default_cache
from search.sources import choose_backbones, choose_inputs
from search.stored import SettingsError
from search.study_place import name_study, place_faults, whole_url
from search.tracking import tracking_faults
from search.warm_start import warm_starts
from spaces import SPACES
from trainables.config import nearest
from trainables.data.corpus import find_corpus
from trainables.objective import METRICS
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from search.settings import ResourceSettings, SearchSettings
    from search.space import NarrowedSpace
    from search.warm_start import WarmStart
    from trainables.config import InputSettings
    from trainables.variants.variant import Variant

DEMO = "demo"
_PACKAGES = {"cmaes": "cmaes", "gp": "scipy"}  # samplers by the package each needs


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search that can start: settings whose every default is worked out.

    Attributes:
        settings: What was asked, every default of what is searched worked out: with them a search
            can go on from anywhere.
        variant: What to tune.
        space: Its space, narrowed.
        hand_tuned: The parameters to try first, inside the space.
        warm_start: Configs of earlier runs, to try next.
        folds: Folds trained side by side.
        epochs: Epochs of a trial that nothing stops.
        inputs: How text and images are prepared.
        source: The data; None is the demo data.
        backbones: Where the weights of each role come from.
        grace_epochs: Epochs before a trial can be stopped; all of them without ASHA.
        time_budget: Seconds until the search stops; infinity without a limit.
        trial_timeout: Seconds a trial may take for one epoch; infinity without a limit.
        cache: Folder of frozen activations; None for none.
        demo: Folder of the demo data.
        folder: Where the results go.
        study: Name of the Optuna study.
        resumed: Whether it goes on with the search that the folder holds.
    """

    settings: SearchSettings
    variant: Variant[Any]
    space: NarrowedSpace
    hand_tuned: Mapping[str, Any]
    warm_start: tuple[WarmStart, ...]
    folds: int
    epochs: int
    inputs: InputSettings
    source: Path | None
    backbones: Mapping[str, str]
    grace_epochs: int
    time_budget: float
    trial_timeout: float
    cache: Path | None
    demo: Path
    folder: RunFolder
    study: str
    resumed: bool = False


def make_plan(settings: SearchSettings) -> Plan:
    """Work out every default, and check every value.

    Args:
        settings: What the command line asks for.

    Returns:
        The search.

    Raises:
        SettingsError: If any value is wrong; the message has one line per fault.
    """
    faults = [*_number_faults(settings), *_choice_faults(settings)]
    faults += [*_resource_faults(settings.resources), *tracking_faults(settings.tracking)]
    seconds = seconds_of("--time-budget", settings.time_budget, faults)
    patience = seconds_of("--trial-timeout", settings.resources.trial_timeout, faults)
    folder = RunFolder((settings.resume or settings.out or _new_folder(settings.model)).absolute())
    if settings.resume is None:
        faults += _folder_faults(folder)
    faults += place_faults(settings, folder)
    variant = VARIANTS.get(settings.model)
    if variant is None or settings.model not in SPACES:
        hint = nearest(settings.model, {*SPACES, ALL})
        faults.insert(0, f"--model must be a model, got {settings.model!r}; {hint}")
        raise SettingsError("\n".join(faults))
    source = _find_source(settings.data.path)
    backbones, backbone_faults = choose_backbones(
        variant, settings.modality, settings.data.backbone, demo=source is None
    )
    tuning = settings.tuning
    epochs = tuning.epochs or variant.hand_tuned.max_epochs
    if tuning.grace_epochs is not None and tuning.grace_epochs > epochs:
        faults.append(f"--grace-epochs must be <= --epochs ({epochs}), got {tuning.grace_epochs}")
    folds = settings.data.folds or variant.folds
    faults += selection_faults(settings, folds)
    space, space_faults = narrow(
        variant, SPACES[variant.name], held(settings), tuning.range, settings.modality
    )
    inputs = choose_inputs(variant, settings.data, backbones)
    faults += [*backbone_faults, *space_faults, *inputs.faults()]
    skip = space_faults or settings.resume is not None  # an old study has begun with them
    warm, warm_faults = ((), []) if skip else warm_starts(settings, space)
    faults += warm_faults
    if faults:
        raise SettingsError("\n".join(faults))
    grace = epochs if tuning.scheduler == "none" else tuning.grace_epochs
    tuning = replace(tuning, epochs=epochs)
    settings = replace(settings, out=folder.path, tuning=tuning)
    return Plan(
        settings=_worked_out(settings, source, backbones, inputs, folds),
        variant=variant,
        space=space,
        hand_tuned=space.inside(asdict(variant.hand_tuned)),
        warm_start=warm,
        folds=folds,
        epochs=epochs,
        inputs=inputs,
        source=source,
        backbones=backbones,
        grace_epochs=grace or min(2, epochs),
        time_budget=seconds,
        trial_timeout=patience,
        cache=None if settings.resources.no_cache else _cache(settings),
        demo=_cache(settings) / DEMO,
        folder=folder,
        study=name_study(settings, folder),
        resumed=settings.resume is not None,
    )


def _number_faults(settings: SearchSettings) -> Iterator[str]:
    tuning = settings.tuning
    counts = {
        "--trials": settings.trials,
        "--folds": settings.data.folds,
        "--repeats": settings.data.repeats,
        "--epochs": tuning.epochs,
        "--grace-epochs": tuning.grace_epochs,
    }
    for flag, count in counts.items():
        if count is not None and count < 1:
            yield f"{flag} must be >= 1, got {count}"
    if not 1 < tuning.reduction_factor < math.inf:
        yield f"--reduction-factor must be > 1, got {tuning.reduction_factor:g}"
    if not 0 <= settings.seed < 2**32:
        yield f"--seed must be in [0, 4294967295], got {settings.seed}"


def _resource_faults(resources: ResourceSettings) -> Iterator[str]:
    gpus, cpus = resources.gpus_per_trial, resources.cpus_per_trial
    if resources.max_concurrent is not None and resources.max_concurrent < 1:
        yield f"--max-concurrent must be >= 1, got {resources.max_concurrent}"
    if gpus is not None and not 0 <= gpus < math.inf:
        yield f"--gpus-per-trial must be >= 0, got {gpus:g}"
    elif gpus is not None and gpus > 1 and not gpus.is_integer():
        yield f"--gpus-per-trial must be a whole number when above 1, got {gpus:g}"
    if cpus is not None and not 0 < cpus < math.inf:
        yield f"--cpus-per-trial must be > 0, got {cpus:g}"
    if resources.no_cache and resources.cache is not None:
        yield "--cache and --no-cache must not be given together"


def _choice_faults(settings: SearchSettings) -> Iterator[str]:
    metric, sampler = settings.tuning.metric, settings.tuning.sampler
    if metric not in METRICS:
        yield f"--metric must be a metric of a trial, got {metric!r}; {nearest(metric, METRICS)}"
    package = _PACKAGES.get(sampler)
    if package and importlib.util.find_spec(package) is None:
        yield f"--sampler {sampler} needs the package {package}; pip install {package}"


def _new_folder(model: str) -> Path:
    return Path("runs") / f"{model}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def _folder_faults(folder: RunFolder) -> Iterator[str]:
    if folder.path.exists() and not folder.path.is_dir():
        yield f"--out must be a folder, got the file {folder.path}"
    elif folder.holds_search():
        where = f"got {folder.path}, which holds one; --resume {folder.path} goes on with it"
        yield f"--out must be a folder without a search, {where}"


def _find_source(path: Path | None) -> Path | None:
    if path is None:
        return find_corpus(Path.cwd())
    return None if path == Path(DEMO) else path


def _worked_out(
    settings: SearchSettings,
    source: Path | None,
    backbones: Mapping[str, str],
    inputs: InputSettings,
    folds: int,
) -> SearchSettings:
    data = replace(
        settings.data,
        path=Path(DEMO) if source is None else source.absolute(),
        backbone=tuple(f"{role}={weights}" for role, weights in backbones.items()),
        folds=folds,
        **asdict(inputs),
    )
    url = whole_url(settings.resources.study_storage)
    resources = replace(settings.resources, study_storage=url)
    return replace(settings, data=data, resources=resources, resume=None)


def _cache(settings: SearchSettings) -> Path:
    if settings.resources.cache is not None:
        return settings.resources.cache.expanduser().absolute()
    return default_cache()
