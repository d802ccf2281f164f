"""From settings to a search that can start: every fault of the settings is found here, at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.run_folder.folder import RunFolder
from search.config.address import chosen_address
from search.config.backbones import choices_of, choose_backbones, choose_inputs
from search.config.checkpoint_storage import absolute_storage, below, storage_faults
from search.config.default_folder import default_name
from search.config.settings import ALL, default_cache
from search.config.validation import (
    cache_faults,
    faults_of,
    folder_faults,
    held,
    seconds_of,
    selection_faults,
)
from search.errors import SettingsError
from search.study.overrides import narrow
from search.study.source_space import first_sources, source_faults, source_space
from search.study.storage import name_run, open_study_storage, study_storage_faults, whole_url
from search.study.tiny_space import at_tiny_rates, is_tiny, tiny_space
from search.study.warm_start import warm_starts
from spaces import SPACES
from trainables.config import nearest
from trainables.data.corpus import find_corpus
from trainables.experiment import on_this_node
from trainables.modules.backbones.weights import local_path
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search.config.settings import SearchSettings
    from search.study.overrides import Overrides
    from search.study.storage import StudyStorage
    from search.study.warm_start import WarmStart
    from spaces.space import Space
    from trainables.config import InputSettings
    from trainables.variants.variant import Variant

DEMO = "demo"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search that can start: settings whose every default is worked out.

    Attributes:
        settings: What was asked, every default of what is searched worked out: with them a search
            can go on from anywhere.
        variant: What to tune.
        space: Its space, narrowed.
        overrides: What it was narrowed by.
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
        address: Of the Ray cluster to join; None starts Ray on this machine.
        cache: Folder of frozen activations; None for none.
        demo: Folder of the demo data.
        folder: Where the results go.
        name: Of the search, where others have theirs too.
        storage: Where Ray keeps what it writes: a folder or a URI.
        resumed: Whether it goes on with the search that the folder holds.
        rerun_lost: Whether trials that its study has lost are to run again.
    """

    settings: SearchSettings
    variant: Variant[Any]
    space: Space
    overrides: Overrides
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
    address: str | None
    cache: Path | None
    demo: Path
    folder: RunFolder
    name: str
    storage: str
    resumed: bool = False
    rerun_lost: bool = False

    def open_storage(self) -> StudyStorage:
        """Open where the study lives.

        Returns:
            The place; the study in it may be still to begin.
        """
        url = self.settings.resources.study_storage
        name = self.settings.model if url is None else self.name  # alone in its file
        return open_study_storage(self.folder, url, name, resumed=self.resumed)


def make_plan(settings: SearchSettings) -> Plan:
    """Work out every default, and check every value.

    Args:
        settings: What the command line asks for.

    Returns:
        The search.

    Raises:
        SettingsError: If any value is wrong; the message has one line per fault.
    """
    faults = list(faults_of(settings))
    seconds = seconds_of("--time-budget", settings.time_budget, faults)
    patience = seconds_of("--trial-timeout", settings.resources.trial_timeout, faults)
    default = Path("runs", default_name(settings.model))
    folder = RunFolder((settings.resume or settings.out or default).absolute())
    resumed = settings.resume is not None
    source = _find_source(settings.data.path)
    faults += folder_faults(folder, resumed=resumed)
    if settings.rerun_lost and not resumed:
        faults.append("--rerun-lost goes with --resume: a new search has lost nothing")
    if source is None or not settings.resources.no_cache:
        faults += cache_faults(_cache(settings), settings.resources)
    faults += study_storage_faults(settings.resources.study_storage, folder, resumed=resumed)
    faults += storage_faults(settings.resources.storage)
    variant = _find_variant(settings.model, faults)
    tuning = settings.tuning
    epochs = tuning.epochs or variant.hand_tuned.max_epochs
    if tuning.grace_epochs is not None and tuning.grace_epochs > epochs:
        faults.append(f"--grace-epochs must be <= --epochs ({epochs}), got {tuning.grace_epochs}")
    folds = settings.data.folds or variant.folds
    faults += selection_faults(settings, folds)
    backbones, inputs = _choose_sources(settings, variant, source, faults)
    space, overrides = _choose_space(settings, variant, backbones, epochs)
    faults += overrides.faults
    hand_tuned: dict[str, Any] = {}
    warm_start: tuple[WarmStart, ...] = ()
    if not overrides.faults:
        hand_tuned, warm_start = _first_configs(settings, variant, backbones, space, faults)
    if faults:
        raise SettingsError("\n".join(faults))
    grace = epochs if tuning.scheduler == "none" else tuning.grace_epochs
    tuning = replace(tuning, epochs=epochs)
    settings = replace(settings, out=folder.path, tuning=tuning)
    name, storage = name_run(folder, resumed=resumed), settings.resources.storage
    return Plan(
        settings=_worked_out(settings, source, backbones, inputs, folds),
        variant=variant,
        space=space,
        overrides=overrides,
        hand_tuned=hand_tuned,
        warm_start=warm_start,
        folds=folds,
        epochs=epochs,
        inputs=inputs,
        source=source,
        backbones=backbones,
        grace_epochs=grace or min(2, epochs),
        time_budget=seconds,
        trial_timeout=patience,
        address=chosen_address(settings.resources.address),
        cache=None if settings.resources.no_cache else _cache(settings),
        demo=on_this_node(_cache(settings)) / DEMO,
        folder=folder,
        name=name,
        storage=str(folder.ray) if storage is None else below(absolute_storage(storage), name),
        resumed=resumed,
        rerun_lost=settings.rerun_lost,
    )


def _find_variant(name: str, faults: list[str]) -> Variant[Any]:
    """Find the model to tune; without it no other fault can be looked for."""
    variant = VARIANTS.get(name)
    if variant is None:
        hint = nearest(name, {*SPACES, ALL})
        faults.insert(0, f"--model must be a model, got {name!r}; {hint}")
        raise SettingsError("\n".join(faults))
    return variant


def _choose_sources(
    settings: SearchSettings, variant: Variant[Any], source: Path | None, faults: list[str]
) -> tuple[dict[str, str], InputSettings]:
    """Give the weights of each backbone, and how its inputs are prepared."""
    words = settings.data.backbone
    backbones, found = choose_backbones(variant, settings.modality, words, demo=source is None)
    inputs = choose_inputs(variant, settings.data, backbones)
    faults += [*found, *map(_flagged, inputs.faults())]
    return backbones, inputs


def _flagged(fault: str) -> str:
    name, _, rest = fault.partition(" ")
    return f"--{name.replace('_', '-')} {rest}"


def _choose_space(
    settings: SearchSettings, variant: Variant[Any], backbones: Mapping[str, str], epochs: int
) -> tuple[Space, Overrides]:
    space = SPACES[variant.name]
    if is_tiny(backbones):
        space = tiny_space(space)
    choices = choices_of(backbones)
    space = source_space(space, variant.config, choices)
    space, overrides = narrow(
        variant, space, held(settings), settings.tuning.range, settings.modality, epochs
    )
    overrides.faults += source_faults(overrides.fixed, choices)
    return space, overrides


def _first_configs(
    settings: SearchSettings,
    variant: Variant[Any],
    backbones: Mapping[str, str],
    space: Space,
    faults: list[str],
) -> tuple[dict[str, Any], tuple[WarmStart, ...]]:
    """Give what is tried first: the hand-tuned config, then those of other runs."""
    hand_tuned = asdict(variant.hand_tuned)
    if is_tiny(backbones):
        hand_tuned = at_tiny_rates(hand_tuned)
    hand_tuned = first_sources(hand_tuned, choices_of(backbones))
    warm: tuple[WarmStart, ...] = ()
    if settings.resume is None:  # an old study has begun with them
        warm, found = warm_starts(
            settings.tuning.warm_start, space, settings.model, settings.modality
        )
        faults += found
    return space.inside(hand_tuned), warm


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
        backbone=tuple(f"{name.partition('/')[0]}={w}" for name, w in backbones.items()),
        folds=folds,
        **asdict(inputs),
    )
    url = whole_url(settings.resources.study_storage)
    storage = settings.resources.storage
    storage = None if storage is None else absolute_storage(storage)
    resources = replace(settings.resources, study_storage=url, storage=storage)
    runs = tuple(local_path(run).absolute() for run in settings.tuning.warm_start)
    tuning = replace(settings.tuning, warm_start=runs)
    return replace(
        settings, data=data, tuning=tuning, resources=resources, resume=None, rerun_lost=False
    )


def _cache(settings: SearchSettings) -> Path:
    if settings.resources.cache is not None:
        given = settings.resources.cache
        # What the shell has left is for each node to say.
        return given if str(given).startswith(("~", "$")) else given.absolute()
    return default_cache()
