"""From settings to a search that can start: all faults of the settings are found here, at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.run_folder.folder import RunFolder
from search.config.address import chosen_address
from search.config.backbones import choices_of, choose_backbones, choose_inputs, named_sources
from search.config.checkpoint_storage import absolute_storage, below, storage_faults
from search.config.default_folder import default_name
from search.config.settings import ALL, default_cache
from search.config.validation import (
    cache_faults,
    faults_of,
    folder_faults,
    held,
    list_of_folds,
    seconds_of,
    selection_faults,
    split_faults,
)
from search.errors import SettingsError
from search.study.overrides import narrow, split_pair
from search.study.sampler import open_study
from search.study.source_space import first_sources, source_faults, source_space
from search.study.storage import name_run, open_study_storage, study_storage_faults, whole_url
from search.study.threshold import of_any_classes, range_faults
from search.study.tiny_space import at_tiny_rates, is_tiny, tiny_space
from search.study.warm_start import warm_starts
from spaces import SPACES
from trainables.config import InputSettings, nearest
from trainables.data.corpus import CorpusError, find_corpus
from trainables.data.encodings import Decoder
from trainables.data.given_splits import GivenSplits, count_folds
from trainables.data.rows.columns import column_faults, parse_columns
from trainables.data.tags import Tagging, parse_tags
from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.experiment import on_this_node
from trainables.modules.backbones.weights import local_path
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna

    from search.config.settings import DataSettings, SearchSettings
    from search.study.overrides import Overrides
    from search.study.storage import StudyStorage
    from search.study.warm_start import WarmStart
    from spaces.space import Space
    from trainables.variants.variant import Variant

DEMO = "demo"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search that can start: its settings, and what follows from them.

    Attributes:
        settings: What was asked, with every default filled in: they suffice to resume a search.
        space: The variant's space, narrowed; the threshold's range is that of three classes as
            long as the data were not read.
        overrides: What it was narrowed by.
        hand_tuned: The parameters to try first, inside the space.
        warm_start: Configs of earlier runs, to try next.
        address: Of the Ray cluster to join; None starts Ray on this machine.
        name: Of the search, where others have theirs too.
        resumed: Whether it continues the search that the folder holds.
        rerun_lost: Whether trials that its study has lost are to run again.
        given_folds: Folds of the split that comes with the data; None where it is drawn, or as
            long as the data were not read.
        classes: The classes of the data, once they were read.
    """

    settings: SearchSettings
    space: Space
    overrides: Overrides
    hand_tuned: Mapping[str, Any]
    warm_start: tuple[WarmStart, ...]
    address: str | None
    name: str
    resumed: bool = False
    rerun_lost: bool = False
    given_folds: int | None = None
    classes: Classes = SENTIMENTS

    @property
    def variant(self) -> Variant[Any]:
        """What to tune."""
        return VARIANTS[self.settings.model]

    @property
    def folder(self) -> RunFolder:
        """Where the results go."""
        assert self.settings.out is not None, "worked out"
        return RunFolder(self.settings.out)

    @property
    def folds(self) -> int:
        """Folds trained side by side."""
        if self.given_folds is not None:
            return self.given_folds
        assert isinstance(self.settings.data.folds, int), "worked out"
        return self.settings.data.folds

    @property
    def tagging(self) -> Tagging:
        """What is known of the classes before the data are read."""
        data = self.settings.data
        return Tagging(parse_tags(data.tags), data.fallback_class)

    @property
    def given_splits(self) -> GivenSplits:
        """The files that part the data."""
        data = self.settings.data
        return GivenSplits(data.val, data.test, list_of_folds(data))

    @property
    def epochs(self) -> int:
        """Epochs of a trial that nothing stops."""
        assert self.settings.tuning.epochs is not None, "worked out"
        return self.settings.tuning.epochs

    @property
    def grace_epochs(self) -> int:
        """Epochs before a trial can be stopped; all of them without ASHA."""
        if self.settings.tuning.scheduler == "none":
            return self.epochs
        return self.settings.tuning.grace_epochs or min(2, self.epochs)

    @property
    def inputs(self) -> InputSettings:
        """How text and images are preprocessed."""
        data = self.settings.data
        return InputSettings(
            **{each.name: getattr(data, each.name) for each in fields(InputSettings)}
        )

    @property
    def source(self) -> Path | None:
        """The data; None for the demo data."""
        return _find_source(self.settings.data.path)

    @property
    def backbones(self) -> dict[str, str]:
        """Where weights come from, by `ROLE`, or by `ROLE/NAME` where a role has several."""
        return named_sources(
            split_pair(word, "--backbone", "ROLE=SOURCE") for word in self.settings.data.backbone
        )

    @property
    def time_budget(self) -> float:
        """Seconds until the search stops; infinity without a limit."""
        return seconds_of("--time-budget", self.settings.time_budget, [])

    @property
    def trial_timeout(self) -> float:
        """Seconds a trial may take for one epoch; infinity without a limit."""
        return seconds_of("--trial-timeout", self.settings.resources.trial_timeout, [])

    @property
    def cache(self) -> Path | None:
        """Folder of frozen activations; None without a cache."""
        return None if self.settings.resources.no_cache else _cache(self.settings)

    @property
    def demo(self) -> Path:
        """Folder of the demo data."""
        return on_this_node(_cache(self.settings)) / DEMO

    @property
    def unpacked_images(self) -> Path:
        """Folder of the images that are in a table themselves."""
        return on_this_node(_cache(self.settings)) / "unpacked_images"

    @property
    def storage(self) -> str:
        """Where Ray keeps what it writes: a folder or a URI."""
        shared = self.settings.resources.storage
        return str(self.folder.ray) if shared is None else below(shared, self.name)

    def open_study(self, place: StudyStorage) -> optuna.Study:
        """Open the study in its storage, or create it."""
        tuning, seed = self.settings.tuning, self.settings.seed
        return open_study(place.storage, place.name, tuning.metric, tuning.sampler, seed)

    def open_storage(self) -> StudyStorage:
        """Open the storage of the study, which may not exist there yet."""
        url = self.settings.resources.study_storage
        name = self.settings.model if url is None else self.name  # the only study in its file
        return open_study_storage(self.folder, url, name, resumed=self.resumed)


def make_plan(settings: SearchSettings) -> Plan:
    """Fill in every default, and check every value.

    Returns:
        The search.

    Raises:
        SettingsError: If any value is wrong; the message has one line per fault.
    """
    faults = list(faults_of(settings))
    seconds_of("--time-budget", settings.time_budget, faults)
    seconds_of("--trial-timeout", settings.resources.trial_timeout, faults)
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
    found = list(split_faults(settings.data, demo=source is None))
    faults += found
    given = None if found else _given_folds(settings.data, faults)
    folds = given or (variant.folds if settings.data.folds is None else settings.data.folds)
    folds = folds if isinstance(folds, int) else 1  # a fault of the list is reported already
    faults += selection_faults(settings, folds)
    backbones, inputs = _choose_sources(settings, variant, source, faults)
    space, overrides = _choose_space(settings, variant, backbones, epochs)
    if source is None:  # the demo, whose classes are known
        overrides.faults += range_faults(space, overrides, SENTIMENTS)
    faults += overrides.faults
    hand_tuned: dict[str, Any] = {}
    warm_start: tuple[WarmStart, ...] = ()
    if not overrides.faults:
        hand_tuned, warm_start = _first_configs(settings, variant, backbones, space, faults)
    if faults:
        raise SettingsError("\n".join(faults))
    tuning = replace(tuning, epochs=epochs)
    asked = replace(settings, out=folder.path, tuning=tuning, data=_absolute(settings.data))
    return Plan(
        settings=_worked_out(asked, source, backbones, inputs, folds),
        space=space,
        overrides=overrides,
        hand_tuned=hand_tuned,
        warm_start=warm_start,
        address=chosen_address(settings.resources.address),
        name=name_run(folder, resumed=resumed),
        resumed=resumed,
        rerun_lost=settings.rerun_lost,
        given_folds=given,
    )


def _given_folds(data: DataSettings, faults: list[str]) -> int | None:
    """Count the folds of the files that say which; a column of the data is not read yet."""
    if (path := list_of_folds(data)) is None:
        return 1 if data.val else None
    if any(column_faults(data.columns)):
        return None
    try:
        return count_folds(path, Decoder(data.encoding), parse_columns(data.columns))
    except CorpusError as error:
        faults.append(f"--folds {error}")
        return None


def _find_variant(name: str, faults: list[str]) -> Variant[Any]:
    """Find the model to tune; without it no other fault can be found."""
    variant = VARIANTS.get(name)
    if variant is None:
        hint = nearest(name, {*SPACES, ALL})
        faults.insert(0, f"--model must be a model, got {name!r}; {hint}")
        raise SettingsError("\n".join(faults))
    return variant


def _choose_sources(
    settings: SearchSettings, variant: Variant[Any], source: Path | None, faults: list[str]
) -> tuple[dict[str, str], InputSettings]:
    """Choose the weights of each backbone, and how its inputs are preprocessed."""
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
    overrides.faults += source_faults(overrides.fixed, choices, "--fix")
    found = [
        fault
        for name, values in overrides.choices.items()
        for value in values
        for fault in source_faults({name: value}, choices, "--range")
    ]
    overrides.faults += dict.fromkeys(found)
    return space, overrides


def _first_configs(
    settings: SearchSettings,
    variant: Variant[Any],
    backbones: Mapping[str, str],
    space: Space,
    faults: list[str],
) -> tuple[dict[str, Any], tuple[WarmStart, ...]]:
    """Return what is tried first: the hand-tuned config, then those of other runs."""
    hand_tuned = asdict(variant.hand_tuned)
    if is_tiny(backbones):
        hand_tuned = at_tiny_rates(hand_tuned)
    hand_tuned = first_sources(hand_tuned, choices_of(backbones))
    warm: tuple[WarmStart, ...] = ()
    if settings.resume is None:  # an old study has begun with them
        warm, found = warm_starts(
            settings.tuning.warm_start,
            of_any_classes(space),
            settings.model,
            settings.modality,
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
        folds=folds if list_of_folds(settings.data) is None else settings.data.folds,
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


def _absolute(data: DataSettings) -> DataSettings:
    """Make the paths of the given splits absolute."""
    files: dict[str, Any] = {"val": data.val, "test": data.test, "folds": list_of_folds(data)}
    return replace(data, **{name: path.absolute() for name, path in files.items() if path})


def _cache(settings: SearchSettings) -> Path:
    if settings.resources.cache is not None:
        given = settings.resources.cache
        # What the shell did not expand, each node expands for itself.
        return given if str(given).startswith(("~", "$")) else given.absolute()
    return default_cache()
