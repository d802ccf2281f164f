"""What a worker process keeps between trials: towers, mapped activations, the device.

Every trial still starts from exactly the pretrained weights and the experiment's seed: nothing
that a trial changes is kept.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from trainables.activations.key import ActivationKey, make_key
from trainables.activations.raw import LivePrefix, RawInputs, Source, raw_inputs
from trainables.activations.residence import placed
from trainables.activations.store import ActivationStore, BuildProgress
from trainables.config import ROLES
from trainables.data.text import clean_text
from trainables.modules.backbones.crossed import tower_for
from trainables.modules.backbones.image_towers import ImageTower, ResNetTower
from trainables.modules.backbones.preprocessor import PREPROCESSOR, read_preprocessor
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.parameters import total_parameters
from trainables.seeds import stream_seed
from trainables.training.fold import FoldTrainer, TrainingData
from trainables.training.lockstep import LockstepRun
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from trainables.config import TrainConfig
    from trainables.data.sample import Fold
    from trainables.experiment import Experiment
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Cut
    from trainables.modules.heads.classifier import Classifier

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
        self._raw: dict[str, RawInputs] = {}
        self._fingerprints: dict[str, str] = {}
        self._sources: dict[tuple[str, Cut], Source] = {}
        self._crowded = False

    @cached_property
    def towers(self) -> Mapping[str, Tower]:
        """The pretrained towers, by role, on the CPU."""
        return self.variant.load(self.experiment.backbones, ROLES[self.experiment.modality])

    def config(self, params: Mapping[str, Any]) -> TrainConfig:
        """Make a trial's config.

        Args:
            params: Sampled values, by name.

        Returns:
            The checked config.
        """
        config: TrainConfig = self.variant.config.from_params(
            {"max_epochs": self.experiment.max_epochs, **params}
        )
        return config

    def start(
        self,
        config: TrainConfig,
        folds: Sequence[Fold] | None = None,
        seeds: Sequence[int] | None = None,
        parts: int = 1,
    ) -> LockstepRun:
        """Set up a trial.

        Args:
            config: Its hyperparameters.
            folds: Its splits; the experiment's by default.
            seeds: Of initial weights, dropout and shuffling, one per fold; streams of the
                experiment's seed by default.
            parts: In how many parts a batch is computed, for want of memory.

        Returns:
            The run, before its first epoch.
        """
        experiment = self.experiment
        folds = experiment.folds if folds is None else folds
        if seeds is None:
            seeds = [stream_seed(experiment.seed, k) for k in range(len(folds))]
        cuts = self.variant.cuts(config, experiment.modality)
        self._let_go({(role, cut.prefix) for role, cut in cuts.items()}, crowded=parts > 1)
        data = TrainingData(
            {role: self.source(role, cut) for role, cut in cuts.items()},
            torch.tensor(experiment.corpus.labels).to(self.device),
            self.device,
        )
        trainers = [
            FoldTrainer(
                lambda: self.variant.build(config, self.towers),
                data,
                fold,
                config,
                seed,
                parts,
            )
            for fold, seed in zip(folds, seeds, strict=True)
        ]
        return LockstepRun(trainers, experiment.corpus.labels, config, experiment.metric)

    def _let_go(self, wanted: Collection[tuple[str, Cut]], *, crowded: bool) -> None:
        """Free what earlier trials read and this one does not; all of it once memory was short."""
        if crowded != self._crowded:
            self._sources.clear()
            self._crowded = crowded
        for place in self._sources.keys() - {*wanted}:
            del self._sources[place]

    def source(self, role: str, cut: Cut) -> Source:
        """Give the activations at a cut: mapped once per process, built if no one has.

        Args:
            role: Which tower.
            cut: Where it is cut.

        Returns:
            The activations of all samples.
        """
        place = (role, cut.prefix)
        if place not in self._sources:
            self._sources[place] = self._open(role, cut.prefix)
        return self._sources[place]

    def _open(self, role: str, cut: Cut) -> Source:
        if self.experiment.cache is None:
            prefix = tower_for(role, self.towers).prefix(cut)
            return LivePrefix(self.raw(role), prefix, self.device)
        for _ in self.build(role, [cut]):
            pass
        stored = self._store.open(self.key(role, cut))
        residence = self.experiment.resident
        if self._crowded and residence == "auto":  # the batch needs what they would take
            residence = "host"
        return placed(stored, self.device, residence)

    def build_for(self, configs: Sequence[TrainConfig]) -> Iterator[BuildProgress]:
        """Make the activations that some configs read, whichever towers each has.

        Args:
            configs: The configs.

        Yields:
            Progress, at least once per role.
        """
        cuts = [self.variant.cuts(config, self.experiment.modality) for config in configs]
        for role in dict.fromkeys(role for cut in cuts for role in cut):
            yield from self.build(role, [cut[role] for cut in cuts if role in cut])

    def build(self, role: str, cuts: Iterable[Cut]) -> Iterator[BuildProgress]:
        """Build the activations of one tower that are missing on this node.

        Args:
            role: Which tower.
            cuts: Where it is cut.

        Yields:
            Progress, at least once.
        """
        keys = {cut: self.key(role, cut) for cut in {cut.prefix for cut in cuts}}
        if not self._store.missing(keys):  # without so much as tokenising a text
            total = len(self.experiment.corpus.samples)
            yield BuildProgress(role, total, total, 0.0, cached=True)
            return
        tower = tower_for(role, self.towers)
        yield from self._store.build(tower, self.raw(role), keys, self.device)

    @cached_property
    def _store(self) -> ActivationStore:
        folder = self.experiment.cache_here
        assert folder is not None
        return ActivationStore(folder)

    def key(self, role: str, cut: Cut) -> ActivationKey:
        """Say what the activations at a cut depend on.

        Args:
            role: Which tower.
            cut: Where it is cut.

        Returns:
            The key.
        """
        tower, experiment = tower_for(role, self.towers), self.experiment
        if role not in self._fingerprints:
            self._fingerprints[role] = tower.fingerprint
        read = self._fingerprints[role]
        samples, dtype = experiment.corpus.samples, experiment.cache_dtype
        return make_key(tower.role, read, cut, samples, experiment.inputs, dtype)

    def count(self, classifier: Classifier) -> dict[str, int]:
        """Count the parameters of a model.

        Args:
            classifier: What trains of it.

        Returns:
            `total`: of the whole library models and the head; `trainable`: of what is unfrozen.
        """
        unused, each = self.variant.counts_unused, self.towers.values()
        towers = sum(tower.parameter_count + unused * tower.unused_parameters for tower in each)
        return {
            "total": towers + total_parameters(classifier.head),
            "trainable": total_parameters(classifier, trainable=True),
        }

    def raw(self, role: str) -> RawInputs:
        """Give the raw inputs of a tower.

        Args:
            role: Which tower.

        Returns:
            Token ids or pixels of all samples, made on demand.
        """
        if role not in self._raw:
            samples, inputs = self.experiment.corpus.samples, self.experiment.inputs
            self._raw[role] = raw_inputs(samples, inputs, tower_for(role, self.towers))
        return self._raw[role]


def build_activations(
    experiment: Experiment,
    params: Sequence[Mapping[str, Any]],
    device: torch.device | None = None,
) -> Iterator[BuildProgress]:
    """Build on this node the activations that some trials need.

    Args:
        experiment: What the search holds fixed.
        params: The trials' hyperparameters.
        device: Where the backbones run; None takes a GPU if there is one.

    Yields:
        Progress, at least once per role.
    """
    bench = Workbench(experiment, device)
    yield from bench.build_for([bench.config(p) for p in params])


def describe(experiment: Experiment) -> dict[str, Any]:
    """Load the towers and say what they are.

    Args:
        experiment: What the search holds fixed.

    Returns:
        `random_backbones` (names), `notes` on parts that start random and on inputs that a
        checkpoint does not know, `fingerprints` of the towers by role, and `parameters` of the
        hand-tuned config: `total` and `trainable`.
    """
    bench = Workbench(experiment, torch.device("cpu"))
    towers = bench.towers.values()
    return {
        "random_backbones": list(dict.fromkeys(t.backbone for t in towers if t.is_random)),
        "notes": [
            note
            for tower in towers
            for note in (
                *tower.notes,
                *_unlike(tower, experiment),
                *_unknown_words(tower, experiment),
            )
        ],
        "fingerprints": {role: tower.fingerprint for role, tower in bench.towers.items()},
        "parameters": bench.count(bench.variant.build(bench.variant.hand_tuned, bench.towers)),
    }


def _unlike(tower: Tower, experiment: Experiment) -> Iterator[str]:
    """Say how images are read otherwise than a tower's checkpoint was trained on."""
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
    """Say how much of the texts a tokenizer does not know; refuses texts longer than it reads."""
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
