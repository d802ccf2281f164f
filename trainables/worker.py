"""What a worker process keeps between trials: towers, mapped activations, the device.

Every trial still starts from exactly the pretrained weights and the experiment's seed: nothing
that a trial changes is kept.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from trainables.activations.key import ActivationKey, make_key
from trainables.activations.raw import LivePrefix, RawInputs, Source, ViewFeatures, raw_inputs
from trainables.activations.residence import placed
from trainables.activations.store import ActivationStore, BuildProgress
from trainables.config import ConfigError
from trainables.data.text import clean_text
from trainables.data.views import VIEWS
from trainables.modules.backbones.cross_attention import parts_of, tower_for
from trainables.modules.backbones.image_towers import ImageTower, ResNetTower
from trainables.modules.backbones.preprocessor import PREPROCESSOR, read_preprocessor
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.blocks.precision import (
    choose_frozen_precision,
    choose_precision,
    precision_of,
)
from trainables.seeds import stream_seed
from trainables.training.fold import FoldTrainer, TrainingData
from trainables.training.lockstep import LockstepRun
from trainables.variants import VARIANTS
from trainables.variants.reading import Reading, prepared_as
from trainables.variants.towers import sources_to_choose

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from torch import nn

    from trainables.data.sample import Fold
    from trainables.evaluation.decision import Precision
    from trainables.experiment import Experiment
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Cut
    from trainables.modules.heads.classifier import Classifier
    from trainables.variants.lazy_towers import LazyTowers
    from trainables.variants.reading import Prepared
    from trainables.variants.towers import TowersConfig
    from trainables.variants.variant import MemberKind

_TEXTS = 2_000  # are enough to see what a tokenizer does not know
_TOLD_SHARE = 0.01


class Workbench:
    """Everything a trial needs that does not depend on its hyperparameters.

    Args:
        experiment: What the search holds fixed.
        device: Where models are trained; None takes a GPU if there is one, else the CPU.
    """

    def __init__(self, experiment: Experiment, device: torch.device | None = None) -> None:
        self.experiment = experiment
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.variant = VARIANTS[experiment.variant]
        self._raw: dict[tuple[str, Prepared], RawInputs] = {}
        self._fingerprints: dict[str, str] = {}
        self._sources: dict[Reading, Source] = {}
        self._views: dict[str, ViewFeatures] = {}
        self._crowded = False

    @cached_property
    def precision(self) -> Precision:
        """The precision in which models train and predict."""
        chosen = self.experiment.precision
        return precision_of(self.device) if chosen == "auto" else chosen

    @property
    def frozen_precision(self) -> Precision:
        """The precision in which frozen parts of towers compute."""
        chosen = self.experiment.frozen_precision
        return "float32" if chosen == "auto" else chosen

    @cached_property
    def towers(self) -> LazyTowers:
        """The pretrained towers, by name, on the CPU."""
        experiment = self.experiment
        return self.variant.load_towers(
            experiment.backbones, experiment.modality, self.frozen_precision
        )

    def config(self, params: Mapping[str, Any]) -> TowersConfig:
        """Make a trial's config; where `params` name none of several sources, it reads the first.

        Returns:
            The checked config.

        Raises:
            ConfigError: If a value is wrong, or a source is not there.
        """
        choices = sources_to_choose(self.experiment.backbones)
        firsts = {name: sources[0] for name, sources in choices.items()}
        config: TowersConfig = self.variant.config.from_params(
            {"max_epochs": self.experiment.max_epochs, **firsts, **params}
        )
        readings = self.variant.readings(config, self.experiment.modality)
        asked = {part for reading in readings.values() for part in parts_of(reading.tower)}
        if unknown := sorted(asked - {*self.towers}):
            known = ", ".join(self.towers)
            msg = f"the search has no backbone {' or '.join(unknown)}; known are {known}"
            raise ConfigError(msg)
        return config

    def start(
        self,
        config: TowersConfig,
        folds: Sequence[Fold] | None = None,
        seeds: Sequence[int] | None = None,
        accumulation_steps: int = 1,
        kind: MemberKind = "trained",
    ) -> LockstepRun:
        """Set up a trial.

        Args:
            config: Its hyperparameters.
            folds: Its splits; the experiment's by default.
            seeds: Of initial weights, dropout and shuffling, one per fold; streams of the
                experiment's seed by default.
            accumulation_steps: Gradient accumulation steps per batch, > 1 if memory is short.
            kind: As in `Variant.build`.

        Returns:
            The run, before its first epoch.
        """
        experiment = self.experiment
        folds = experiment.folds if folds is None else folds
        if seeds is None:
            seeds = [stream_seed(experiment.seed, k) for k in range(len(folds))]
        readings = self.variant.readings(config, experiment.modality)
        wanted = {read.prefix for read in readings.values()}
        self._let_go(wanted, crowded=accumulation_steps > 1)
        views = self.variant.views(config, experiment.modality)
        towers = {slot: self.source(*read) for slot, read in readings.items()}
        data = TrainingData(
            towers | {name: self.view(name) for name in views},
            torch.tensor(experiment.corpus.labels).to(self.device),
            self.device,
            self.precision,
            experiment.corpus.classes,
        )
        trainers = [
            FoldTrainer(
                lambda: self.build_classifier(config, kind),
                data,
                fold,
                config,
                seed,
                accumulation_steps,
            )
            for fold, seed in zip(folds, seeds, strict=True)
        ]
        corpus = experiment.corpus
        return LockstepRun(trainers, corpus.labels, config, experiment.metric, corpus.classes)

    def build_classifier(self, config: TowersConfig, kind: MemberKind = "trained") -> Classifier:
        """Build the classifier of a config, as `Variant.build`, for the classes of the data."""
        classes = len(self.experiment.corpus.classes)
        return self.variant.build(config, self.towers, kind, classes)

    def _let_go(self, wanted: Collection[Reading], *, crowded: bool) -> None:
        """Free what this trial does not read; everything, once memory was short."""
        if crowded != self._crowded:
            self._sources.clear()
            self._crowded = crowded
        for place in self._sources.keys() - {*wanted}:
            del self._sources[place]

    def source(self, tower: str, cut: Cut, prepared: Prepared = ()) -> Source:
        """Return the activations at a cut: mapped once per process, built if missing."""
        place = Reading(tower, cut, prepared).prefix
        if place not in self._sources:
            self._sources[place] = self._open(place)
        return self._sources[place]

    def view(self, name: str) -> ViewFeatures:
        """Return the features of a view, a key of `VIEWS`: computed once per process."""
        if name not in self._views:
            samples = self.experiment.corpus.samples
            self._views[name] = ViewFeatures(VIEWS[name], samples, self.device)
        return self._views[name]

    def _open(self, read: Reading) -> Source:
        if self.experiment.cache is None:
            prefix = tower_for(read.tower, self.towers).prefix(read.cut)
            return LivePrefix(self.raw(read.tower, read.prepared), prefix, self.device)
        for _ in self.build(read.tower, [read.cut], read.prepared):
            pass
        stored = self._store.open(self.key(*read))
        residence = self.experiment.resident
        if self._crowded and residence == "auto":  # the batch needs what they would take
            residence = "host"
        return placed(stored, self.device, residence)

    def build_for(self, configs: Sequence[TowersConfig]) -> Iterator[BuildProgress]:
        """Build the activations that some configs read, of all their towers.

        Yields:
            Progress, at least once per tower and way to prepare its inputs.
        """
        cuts: dict[tuple[str, Prepared], list[Cut]] = {}
        for config in configs:
            for read in self.variant.readings(config, self.experiment.modality).values():
                cuts.setdefault((read.tower, read.prepared), []).append(read.cut)
        for (tower, prepared), wanted in cuts.items():
            yield from self.build(tower, wanted, prepared)

    def build(
        self, tower: str, cuts: Iterable[Cut], prepared: Prepared = ()
    ) -> Iterator[BuildProgress]:
        """Build the activations of one tower that are missing on this node.

        Yields:
            Progress, at least once.
        """
        usual = self.experiment.inputs
        other = (value for name, value in prepared if value != getattr(usual, name))
        called = " ".join([tower, *other])
        keys = {cut: self.key(tower, cut, prepared) for cut in {cut.prefix for cut in cuts}}
        if not self._store.missing(keys):  # without so much as tokenising a text
            total = len(self.experiment.corpus.samples)
            yield BuildProgress(called, total, total, 0.0, cached=True)
            return
        whole = tower_for(tower, self.towers)
        for step in self._store.build(whole, self.raw(tower, prepared), keys, self.device):
            yield step._replace(role=called)

    @cached_property
    def _store(self) -> ActivationStore:
        folder = self.experiment.cache_here
        assert folder is not None
        return ActivationStore(folder)

    def key(self, tower: str, cut: Cut, prepared: Prepared = ()) -> ActivationKey:
        """Return what the activations at a cut depend on."""
        whole, experiment = tower_for(tower, self.towers), self.experiment
        read, inputs = self.fingerprint(tower), prepared_as(experiment.inputs, prepared)
        if whole.frozen_precision != "float32":
            read = f"{read} in {whole.frozen_precision}"
        samples, dtype = experiment.corpus.samples, experiment.cache_dtype
        return make_key(whole.role, read, cut, samples, inputs, dtype)

    def fingerprint(self, tower: str) -> str:
        """Give the digest of a tower's weights and all else of it that shapes activations.

        Args:
            tower: Its name.

        Returns:
            Its fingerprint, computed once per process.
        """
        if tower not in self._fingerprints:
            self._fingerprints[tower] = tower_for(tower, self.towers).fingerprint
        return self._fingerprints[tower]

    def count(self, classifier: Classifier) -> dict[str, int]:
        """Count the parameters of a model.

        Returns:
            `total`: of the whole library models that it reads and the head; `trainable`: of what
            is unfrozen.
        """
        unused = self.variant.counts_unused
        each = [self.towers[name] for name in classifier.towers]
        towers = sum(tower.parameter_count + unused * tower.unused_parameters for tower in each)
        return {
            "total": towers + total_parameters(classifier.starts_random),
            "trainable": total_parameters(classifier, trainable=True),
        }

    def raw(self, tower: str, prepared: Prepared = ()) -> RawInputs:
        """Return the raw inputs of a tower, token ids or pixels of all samples, made on demand."""
        place = (tower, prepared)
        if place not in self._raw:
            samples = self.experiment.corpus.samples
            inputs = prepared_as(self.experiment.inputs, prepared)
            self._raw[place] = raw_inputs(samples, inputs, tower_for(tower, self.towers))
        return self._raw[place]


_KEPT: dict[tuple[str, torch.device], Workbench] = {}


def kept_workbench(
    identity: str, device: torch.device, experiment: Callable[[], Experiment]
) -> Workbench:
    """Give the workbench that this process keeps from one piece of work to the next.

    Args:
        identity: The experiment's.
        device: Where models run.
        experiment: Fetches it, where the process does not hold its workbench yet.

    Returns:
        The workbench; that of another experiment or device is let go.
    """
    if (identity, device) not in _KEPT:
        _KEPT.clear()
        _KEPT[identity, device] = Workbench(experiment(), device)
    return _KEPT[identity, device]


def build_activations(
    experiment: Experiment,
    params: Sequence[Mapping[str, Any]],
    device: torch.device | None = None,
) -> Iterator[BuildProgress]:
    """Build on this node the activations that trials with these hyperparameters need.

    Yields:
        Progress, at least once per tower.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench = kept_workbench(experiment.identity, device, lambda: experiment)
    yield from bench.build_for([bench.config(p) for p in params])


def describe(
    experiment: Experiment,
    params: Sequence[Mapping[str, Any]] = (),
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Load the towers and describe them, and choose the precision to train in.

    Args:
        experiment: What the search holds fixed.
        params: Hyperparameters of trials, one for each way to cut the towers.
        device: Where trials train; None for the CPU.

    Returns:
        `random_backbones` (names), `notes` on parts that start random and on inputs that a
        checkpoint does not know, `fingerprints` of the towers by name, `parameters` of the
        hand-tuned config: `total` and `trainable`, the `precision` and `frozen_precision` of the
        experiment, chosen for these trials where they are `auto`, and the `speedup` and
        `frozen_speedup` that were measured for them or None.
    """
    bench = kept_workbench(experiment.identity, torch.device("cpu"), lambda: experiment)
    towers = bench.towers.values()
    hand_tuned = {
        name: value for name, value in asdict(bench.variant.hand_tuned).items() if value != ""
    }
    random = [bench.towers.backbone_of(name) for name, t in bench.towers.items() if t.is_random]
    precision, speedup = experiment.precision, None
    frozen_precision, frozen_speedup = experiment.frozen_precision, None
    device = device or bench.device
    if precision == "auto":
        precision, speedup = choose_precision(device, _training(bench, params))
    if frozen_precision == "auto":
        models = (tower.model for tower in towers)
        frozen_precision, frozen_speedup = choose_frozen_precision(device, models)
    return {
        "random_backbones": list(dict.fromkeys(random)),
        "notes": [
            note
            for tower in towers
            for note in (
                *tower.notes,
                *_unlike(tower, experiment),
                *_unknown_words(tower, experiment),
            )
        ],
        "fingerprints": {name: bench.fingerprint(name) for name in bench.towers},
        "parameters": bench.count(bench.build_classifier(bench.config(hand_tuned))),
        "precision": precision,
        "speedup": speedup,
        "frozen_precision": frozen_precision,
        "frozen_speedup": frozen_speedup,
    }


def _training(bench: Workbench, params: Iterable[Mapping[str, Any]]) -> Iterator[nn.Module]:
    """Make what trains of each tower in some trials, at one depth: its blocks are alike."""
    seen = set()
    for values in params:
        config = bench.config(values)
        for read in bench.variant.readings(config, bench.experiment.modality).values():
            if read.cut.unfrozen_layers and read.tower not in seen:
                seen.add(read.tower)
                yield tower_for(read.tower, bench.towers).suffix(read.cut)


def _unlike(tower: Tower, experiment: Experiment) -> Iterator[str]:
    """Say how images are preprocessed otherwise than in a tower's pretraining."""
    if not isinstance(tower, ImageTower) or isinstance(tower, ResNetTower) or tower.is_random:
        return
    preprocessor = read_preprocessor(tower.backbone, tower.source)
    if preprocessor is None:
        yield (
            f"{tower.backbone}: {tower.source} has no {PREPROCESSOR}: its images are standardised"
            " as its family's mostly are"
        )
    elif difference := preprocessor.difference(experiment.inputs):
        yield (
            f"{tower.backbone}: {tower.source} {difference}"
            " (see --image-preparation and --image-size)"
        )


def _unknown_words(tower: Tower, experiment: Experiment) -> Iterator[str]:
    """Say how much of the texts a tokenizer does not know; refuse texts longer than it reads."""
    if not isinstance(tower, TextTower):
        return
    samples, inputs = experiment.corpus.samples, experiment.inputs
    some = samples[:: -(-len(samples) // _TEXTS)]  # evenly over the data
    texts = [clean_text(sample.text, inputs.text_cleaning) for sample in some]
    rows = tower.tokenizer.encode(texts, inputs.text_length)
    unknown = [token == tower.tokenizer.unknown_id for row in rows for token in row]
    share = sum(unknown) / max(1, len(unknown))
    if share >= _TOLD_SHARE:
        yield (
            f"{tower.backbone}: {share:.0%} of the tokens of {len(some):,} texts are unknown to"
            f" the tokenizer of {tower.source}: is it meant for such texts?"
        )
