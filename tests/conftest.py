"""What all tests share: small random backbones on disk, a small corpus, an experiment, a Ray.

Nothing is fetched: the hub is offline, and every backbone made here is loaded by the real code.
"""

from __future__ import annotations

import os

# Before torch and transformers are imported: one thread, so that sums come out alike everywhere.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
# The many processes that tests start need not each compile our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import hashlib
import json
import signal
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from PIL import Image

from trainables.config import InputSettings
from trainables.data.sample import Corpus, Fold, Sample
from trainables.experiment import Experiment
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import torch

    from trainables.training.fold import FoldTrainer

SHARED = Path(__file__).parents[2] / "shared"
WORDS = ("what", "a", "lovely", "sad", "day", "by", "the", "river", "not", "good", "don", "'", "t")
SMALL = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
COLOURS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
LABELLED, UNLABELLED = 30, 6
NARROW: dict[str, Any] = {
    "batch_size": 8,
    "projection_width": 16,
    "hidden_width": 16,
    "image_unfrozen_layers": 1,
}
"""A config of early fusion that trains in no time."""
TINY_BACKBONES = {
    name: dict.fromkeys(variant.backbones, "tiny") for name, variant in VARIANTS.items()
}
"""Small random weights for every backbone, by variant."""


# Background jobs of a shell start with Ctrl-C ignored, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test asserts a time: an example that takes longer on a busy machine is no fault.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, so that processes that work side by side end together.

    Of these, files come last whose tests start a Ray of their own: the shared one ends for them.
    """
    own = {item.path for item in items if "own_ray" in _fixtures(item)}
    shared = {item.path for item in items if "ray_cluster" in _fixtures(item)}

    def order(item: pytest.Item) -> tuple[bool, ...]:
        fast = item.get_closest_marker("slow") is None
        file = item.path in own, item.path not in shared
        return (fast, *file, "ray_cluster" not in _fixtures(item))

    items.sort(key=order)


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@pytest.fixture(scope="session")
def held_ray() -> Iterator[ExitStack]:
    """What ends the Ray that tests share."""
    with ExitStack() as held:
        yield held


@pytest.fixture
def ray_cluster(held_ray: ExitStack) -> None:
    """Ray on this machine as a search starts it; the next test that asks finds the same."""
    import ray

    from search.cluster.connection import connected, kept

    if not ray.is_initialized():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_preload_python_modules", "")  # toys that need none of them
            held_ray.enter_context(kept())  # for the searches of a test as well
            held_ray.enter_context(connected(None))


@pytest.fixture(scope="module")
def own_ray(held_ray: ExitStack) -> None:
    """End the Ray that tests share, with its variables, before tests that start their own."""
    held_ray.close()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Random small backbones in their libraries' own formats: where each family's weights lie."""
    import torch

    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _save_texts(folder)
        _save_images(folder)
    files = {"resnet": "resnet.safetensors", "resnet_pth": "resnet.pth"}
    names = ("bert", "roberta", "distilbert", "mobilenet", "vit")
    return {name: str(folder / files.get(name, name)) for name in (*names, *files)}


def _save_texts(folder: Path) -> None:
    from transformers import (
        BertConfig,
        BertModel,
        DistilBertConfig,
        DistilBertModel,
        RobertaConfig,
        RobertaModel,
    )

    tokenizer = _wordpiece()
    size = len(tokenizer)
    # The libraries' small default would make every hidden state alike, and errors invisible.
    spread: Any = {"vocab_size": size, "initializer_range": 0.3}
    models = {
        "bert": BertModel(BertConfig(**SMALL, **spread, num_hidden_layers=3)),
        "roberta": RobertaModel(
            RobertaConfig(**SMALL, **spread, num_hidden_layers=2, pad_token_id=0)
        ),
        "distilbert": DistilBertModel(
            DistilBertConfig(**spread, dim=32, n_heads=4, hidden_dim=48, n_layers=2)
        ),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def _wordpiece() -> Any:
    """A tokenizer of a few words and of all letters as their pieces."""
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    pieces = [*WORDS, *(x for x in letters if x not in WORDS), *(f"##{x}" for x in letters)]
    return BertTokenizer(vocab={piece: i for i, piece in enumerate([*special, *pieces])})


def _save_images(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from torchvision.models.resnet import BasicBlock, ResNet
    from transformers import MobileNetV2Config, MobileNetV2Model, ViTConfig, ViTModel

    resnet = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)
    mobilenet = MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35, image_size=64))
    vit_config: Any = {**SMALL, "num_hidden_layers": 2, "image_size": 64, "patch_size": 16}
    vit = ViTModel(ViTConfig(**vit_config, initializer_range=0.3))
    for model in (resnet, mobilenet):
        warm(model)
    state = {name: value for name, value in resnet.state_dict().items() if "fc." not in name}
    classifier = ResNet(BasicBlock, [1, 1, 1, 1]).fc.state_dict()
    state |= {f"fc.{name}": value for name, value in classifier.items()}
    save_file(state, folder / "resnet.safetensors")
    torch.save(state, folder / "resnet.pth")
    for name, saved in {"mobilenet": mobilenet, "vit": vit}.items():
        saved.save_pretrained(folder / name)
        (folder / name / "preprocessor_config.json").write_text(json.dumps(COLOURS))


def warm(model: torch.nn.Module) -> None:
    """Give batch norms statistics of their own, and let signals through, as pretraining would."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr] # tracked here
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr] # tracked here
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)


def make_samples(folder: Path, count: int, *, labelled: bool, first: int = 0) -> list[Sample]:
    """Write images of many sizes; texts have from none to eleven words."""
    samples = []
    for index in range(first, first + count):
        random = np.random.default_rng(index)
        label = index % 3
        shape = (20 + index % 7 * 5, 20 + index % 5 * 9, 3)
        noise = random.integers(0, 200, shape, dtype=np.uint8)
        noise[..., label] += 55
        file = BytesIO()
        Image.fromarray(noise).save(file, "PNG")
        path = folder / f"{index}.png"
        path.write_bytes(file.getvalue())
        words = " ".join(random.choice(WORDS, index % 12))
        digest = hashlib.sha256(file.getvalue()).hexdigest()
        samples.append(Sample(f"{index:03d}", words, path, digest, label if labelled else None))
    return samples


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Thirty labelled samples, ten of each class, and six to be predicted."""
    folder = tmp_path_factory.mktemp("corpus")
    labelled = make_samples(folder, LABELLED, labelled=True)
    unlabelled = make_samples(folder, UNLABELLED, labelled=False, first=LABELLED)
    return Corpus("small", tuple(labelled), tuple(unlabelled))


def folds_of(count: int) -> tuple[Fold, ...]:
    """Part the labelled samples in `count` folds; each validates every fifth."""
    rows = np.arange(LABELLED)
    return tuple(Fold(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(count))


def tiny_experiment(**changes: Any) -> Experiment:
    """Make an experiment of one fold on `tiny` weights, without a cache; on the `corpus` given."""
    settings: dict[str, Any] = {
        "variant": "early_fusion",
        "folds": folds_of(1),
        "inputs": InputSettings(image_size=64),
        "backbones": {"text": "tiny", "image": "tiny"},
        "metric": "val_weighted_f1",
        "max_epochs": 3,
        "seed": 7,
        "cache": None,
        "cache_dtype": "float32",
    }
    return Experiment(**settings | changes)


@pytest.fixture
def make_experiment(corpus: Corpus, tmp_path: Path) -> Callable[..., Experiment]:
    """Make tiny experiments with a cache of this test's own."""

    def make(**changes: Any) -> Experiment:
        return tiny_experiment(**{"corpus": corpus, "cache": tmp_path / "cache"} | changes)

    return make


def parameters_of(trainers: Iterable[FoldTrainer]) -> list[torch.Tensor]:
    """Every parameter and buffer of the trainers' models, to be compared bit for bit."""
    return [value for trainer in trainers for value in trainer.classifier.state_dict().values()]


def train_final(
    experiment: Experiment, params: Mapping[str, Any], epochs: int, folder: Path
) -> dict[str, Any]:
    """Train and write the model that ships when it is one model on all labelled samples."""
    from trainables.evaluation.decision import DecisionRule
    from trainables.tasks.final import assemble, train_member
    from trainables.tasks.final_member import FinalMember
    from trainables.worker import Workbench

    bench = Workbench(experiment)
    rows = np.arange(len(experiment.corpus.labelled))
    weights = train_member(bench, params, rows, epochs, experiment.seed)
    threshold, classes = params.get("neutral_threshold", 0.0), experiment.corpus.classes
    rule = DecisionRule(threshold, classes=classes)
    return assemble(bench, [FinalMember(params, [weights])], rule, folder)
