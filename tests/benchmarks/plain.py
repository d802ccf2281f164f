"""The plain way to tune the same configs with Ray Tune: what `trials_per_hour` compares ours to.

A function trainable, as most are written: every trial is a fresh process that loads the pretrained
models, a `DataLoader` decodes and tokenises each sample in each epoch, and the whole models run in
each step, their first layers with `requires_grad=False`. Head, initial weights, order of batches,
optimiser, schedule, average of weights, loss, early stop, decision and metrics are ours, so that
the scores compare.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from ray import tune
from torch.utils.data import DataLoader, Dataset

from tests.benchmarks.library import LibraryPiece
from trainables.config import ROLES
from trainables.data.images import open_image, prepare_image
from trainables.data.text import clean_text
from trainables.evaluation.classes import SENTIMENTS
from trainables.modules.backbones.image_towers import Standardize
from trainables.modules.blocks.activations import Activations
from trainables.modules.heads.classifier import Classifier
from trainables.seeds import stream_seed
from trainables.training.averaging import WeightAverage
from trainables.training.fold import Validation
from trainables.training.lockstep import LockstepRun
from trainables.training.losses import make_loss
from trainables.training.optimization import Schedule, make_optimizer
from trainables.training.randomness import RandomStream
from trainables.training.sampling import draw_epoch, drawn_counts
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.config import TrainConfig
    from trainables.experiment import Experiment
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling

_EVALUATION_ROWS = 64
_CPU = torch.device("cpu")


class Pairs(Dataset[tuple[list[int], torch.Tensor, int]]):
    """The labelled pairs, prepared when asked for.

    Args:
        experiment: Samples and preparation.
        tokenizer: Of the text tower.
    """

    def __init__(self, experiment: Experiment, tokenizer: Any) -> None:
        self._samples, self._inputs = experiment.corpus.labelled, experiment.inputs
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, row: int) -> tuple[list[int], torch.Tensor, int]:
        sample, inputs = self._samples[row], self._inputs
        text = clean_text(sample.text, inputs.text_cleaning)
        (ids,) = self._tokenizer.encode([text], inputs.text_length)
        pixels = torch.from_numpy(prepare_image(open_image(sample.image), inputs))
        assert sample.label is not None
        return ids, pixels, int(sample.label)


class PlainTrainer:
    """One model on one fold, with a `DataLoader` in its loop.

    Args:
        experiment: Data and pretrained weights.
        config: The trial's hyperparameters.
        workers: Processes of the `DataLoader`.
    """

    def __init__(self, experiment: Experiment, config: TrainConfig, workers: int) -> None:
        self._config, fold = config, experiment.folds[0]
        roles = ROLES[experiment.modality]
        towers = VARIANTS[experiment.variant].load(experiment.backbones, roles)
        text: Any = towers["text"]
        tokenizer = text.tokenizer
        self._collate = partial(_collate, pad_id=tokenizer.pad_id)
        self._pairs, self._workers = Pairs(experiment, tokenizer), workers
        self._random = RandomStream(stream_seed(experiment.seed, 0), _CPU)
        with self._random.active():
            self.classifier = _uncut(experiment, config, towers)
        self._train, self.val = torch.tensor(fold.train), torch.tensor(fold.val)
        self._labels = torch.tensor(experiment.corpus.labels[fold.train])
        counts = drawn_counts(self._labels, config.sampling, len(SENTIMENTS))
        self._loss = make_loss(counts, config, _CPU)
        self.optimizer = make_optimizer(self.classifier, config)
        trained = [p for p in self.classifier.parameters() if p.requires_grad]
        self._average = WeightAverage(trained, config.weight_averaging)
        steps = math.ceil(round(counts.sum().item()) / config.batch_size)
        self._schedule = Schedule(self.optimizer, config, steps)

    @property
    def learning_rates(self) -> tuple[float, float]:
        """The rates of head and backbone now."""
        return self.optimizer.param_groups[0]["lr"], self.optimizer.param_groups[2]["lr"]

    def train_epoch(self) -> float:
        """Train for one pass over the training samples.

        Returns:
            The mean loss per sample.
        """
        total = 0.0
        self._average.exchange()
        with self._random.active():
            rows = self._train[draw_epoch(self._labels, self._config.sampling)]
            self.classifier.train()
            for inputs, labels in self._loader(rows, self._config.batch_size):
                loss = self._loss(self.classifier(inputs), labels)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(
                    self.classifier.parameters(), self._config.max_grad_norm
                )
                self.optimizer.step()
                self._schedule.after_step()
                self._average.after_step()
                total += loss.item() * len(labels)
        self._average.exchange()
        return total / len(rows)

    @torch.no_grad()
    def validate(self) -> Validation:
        """Classify the validation samples.

        Returns:
            What the model says of them.
        """
        self.classifier.eval()
        outputs, truth = [], []
        for inputs, labels in self._loader(self.val, _EVALUATION_ROWS):
            outputs.append(self.classifier(inputs))
            truth.append(labels)
        logs = torch.cat(outputs).log_softmax(dim=-1)
        loss = torch.nn.functional.nll_loss(logs, torch.cat(truth)).item()
        self._schedule.after_epoch(loss)
        return Validation(logs.exp().numpy(), loss, {})

    def _loader(self, rows: torch.Tensor, batch_size: int) -> DataLoader[Any]:
        return DataLoader(
            self._pairs,
            batch_sampler=[part.tolist() for part in rows.split(batch_size)],
            collate_fn=self._collate,
            num_workers=self._workers,
            generator=torch.Generator(),  # else it would draw from the trial's random stream
        )


def _collate(
    batch: Sequence[tuple[list[int], torch.Tensor, int]], pad_id: int
) -> tuple[dict[str, Activations], torch.Tensor]:
    ids, pixels, labels = zip(*batch, strict=True)
    longest = max(map(len, ids))
    padded = torch.tensor([row + [pad_id] * (longest - len(row)) for row in ids])
    mask = torch.arange(longest) < torch.tensor([len(row) for row in ids])[:, None]
    # With channels last, as ours: faster, and sums in the same order.
    stacked = torch.stack(pixels).contiguous(memory_format=torch.channels_last)
    towers = {"text": Activations(padded, mask), "image": Activations(stacked)}
    return towers, torch.tensor(labels)


def _uncut(experiment: Experiment, config: TrainConfig, towers: Mapping[str, Tower]) -> Classifier:
    # Built as a trial builds it, so that the head draws the same initial weights.
    head = VARIANTS[experiment.variant].build(config, towers).head
    settings: Any = config
    text, image = towers["text"].model, towers["image"].model
    if hasattr(image, "fc"):
        image.fc = torch.nn.Identity()
    pooling: Pooling | None = (
        None if type(image).__name__ in {"MobileNetV2Model", "ResNet"} else "cls"
    )
    texts = LibraryPiece(text, settings.text_unfrozen_layers, settings.text_pooling)
    tower: Any = towers["image"]
    colours = Standardize(tower.mean, tower.std)
    images = LibraryPiece(image, settings.image_unfrozen_layers, pooling, standardize=colours)
    return Classifier({"text": texts, "image": images}, head)


def train_plain(params: dict[str, Any], experiment: Experiment, workers: int) -> None:
    """Train one trial and report each epoch: the function that Ray Tune calls.

    Args:
        params: `config`, whose `values` are the hyperparameters by name, and `threads`.
        experiment: What the search holds fixed.
        workers: Processes of each `DataLoader`.
    """
    torch.set_num_threads(params["threads"])
    config = VARIANTS[experiment.variant].config.from_params(
        {"max_epochs": experiment.max_epochs, **params["config"]["values"]}
    )
    trainer: Any = PlainTrainer(experiment, config, workers)
    run = LockstepRun([trainer], experiment.corpus.labels, config, experiment.metric)
    while not run.finished:
        tune.report({**run.next_epoch().metrics, "best": run.best})
