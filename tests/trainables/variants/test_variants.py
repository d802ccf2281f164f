"""The contract of every variant in `VARIANTS`: a new one is tested untouched."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import folds_of, parameters_of
from trainables.activations.ownership import MARKER
from trainables.config import ROLES, ConfigError
from trainables.variants import VARIANTS
from trainables.variants.reading import Reading
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from trainables.config import Modality
    from trainables.experiment import Experiment
    from trainables.modules.heads.classifier import Classifier
    from trainables.training.lockstep import LockstepRun
    from trainables.variants.variant import Variant

ROWS = torch.tensor([3, 0, 11, 5])
# For a field of each type, a value that no hand-tuned config has.
UNLIKE = {int: 1, float: 0.125, str: "concat", bool: True}
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


@pytest.fixture
def bench_of(make_experiment: Callable[..., Experiment]) -> Callable[..., Workbench]:
    """Make a bench of tiny towers, without a cache."""

    def make(variant: Variant[Any], **changes: Any) -> Workbench:
        modality = changes.get("modality", "both")
        backbones = dict.fromkeys(variant.backbones_for(modality), "tiny")
        settings = {"variant": variant.name, "backbones": backbones, "cache": None}
        return Workbench(make_experiment(**settings | changes))

    return make


def unfrozen_fields(variant: Variant[Any]) -> dict[str, str]:
    """The field of each role that says how many of its layers train."""
    fields = variant.config.__dataclass_fields__
    roles = variant.readings(variant.hand_tuned)
    return {r: f"{r}_unfrozen_layers" for r in roles if f"{r}_unfrozen_layers" in fields}


def logits_of(bench: Workbench, config: Any) -> tuple[Tensor, Classifier]:
    classifier = bench.variant.build(config, bench.towers).eval()
    readings = bench.variant.readings(config, bench.experiment.modality)
    batch = {slot: bench.source(*read).gather(ROWS) for slot, read in readings.items()}
    return classifier(batch), classifier


def run_of(bench: Workbench, **values: Any) -> LockstepRun:
    """A trial that moves: the hand-tuned rates of some variants are those of many epochs."""
    rates = {"head_learning_rate": 1e-2, "backbone_learning_rate": 1e-3, "batch_size": 8}
    config = replace(bench.variant.hand_tuned, max_epochs=3, patience=3, **rates | values)
    return bench.start(config)


@every_variant
def test_a_variant_is_known_by_its_name(variant: Variant[Any]) -> None:
    assert VARIANTS[variant.name] is variant
    assert set(variant.readings(variant.hand_tuned)) <= {"text", "image"}


@every_variant
def test_the_hand_tuned_config_and_the_defaults_are_valid(variant: Variant[Any]) -> None:
    assert isinstance(variant.hand_tuned, variant.config)
    assert list(variant.hand_tuned.faults()) == []
    assert list(variant.config().faults()) == []
    assert list(variant.inputs.faults()) == []


@every_variant
def test_logits_have_one_column_per_class(
    variant: Variant[Any], bench_of: Callable[..., Workbench]
) -> None:
    logits, _ = logits_of(bench_of(variant), variant.hand_tuned)
    assert logits.shape == (4, 3)
    assert logits.isfinite().all()
    assert logits.std(dim=0).min() > 0


@pytest.mark.slow
@every_variant
def test_gradients_reach_exactly_what_is_unfrozen_at_every_depth(
    variant: Variant[Any], bench_of: Callable[..., Workbench]
) -> None:
    bench = bench_of(variant)
    fields = unfrozen_fields(variant)
    assert fields
    for role, field in fields.items():
        for unfrozen in range(bench.towers[role].depth + 1):
            config = replace(variant.hand_tuned, **{field: unfrozen})
            logits, classifier = logits_of(bench, config)
            (logits * torch.randn(logits.shape)).sum().backward()
            for name, parameter in classifier.named_parameters():
                # What reads an image is not run on text alone.
                runs = parameter.requires_grad and ".crossattention." not in name
                assert (parameter.grad is not None) == runs, name
            assert all(p.requires_grad for p in classifier.head.parameters())
            trains = any(p.requires_grad for p in classifier.suffixes[role].parameters())
            # A projection into a space that both towers share always trains.
            assert trains == (unfrozen > 0 or bench.towers[role].joint is not None)
        assert all(p.grad is None for p in bench.towers[role].model.parameters())


@every_variant
def test_all_cuts_of_a_tower_embed_alike(
    variant: Variant[Any], bench_of: Callable[..., Workbench]
) -> None:
    bench = bench_of(variant)
    for role, field in unfrozen_fields(variant).items():
        logits = []
        for unfrozen in range(bench.towers[role].depth + 1):
            torch.manual_seed(0)
            config = replace(variant.hand_tuned, **{field: unfrozen})
            logits.append(logits_of(bench, config)[0])
        for other in logits[1:]:
            torch.testing.assert_close(other, logits[0], atol=1e-5, rtol=1e-5)


@every_variant
def test_both_modalities_have_a_say(
    variant: Variant[Any], bench_of: Callable[..., Workbench]
) -> None:
    bench = bench_of(variant)
    config = variant.hand_tuned
    classifier = variant.build(config, bench.towers).eval()
    readings = variant.readings(config)
    batch = {slot: bench.source(*read).gather(ROWS) for slot, read in readings.items()}
    before = classifier(batch)
    for slot, read in readings.items():
        swapped = bench.source(*read).gather(ROWS.flip(0))
        assert not torch.allclose(classifier({**batch, slot: swapped}), before)


@every_variant
@pytest.mark.parametrize("modality", ["text", "image"])
def test_one_modality_loads_runs_and_reads_one_tower_only(
    variant: Variant[Any], modality: Modality, bench_of: Callable[..., Workbench]
) -> None:
    bench = bench_of(variant, modality=modality)
    assert list(bench.towers) == [modality]
    logits, classifier = logits_of(bench, variant.hand_tuned)
    assert logits.shape == (4, 3)
    assert list(classifier.suffixes) == [modality]
    named = {name for name, _ in classifier.named_parameters()}
    assert not [name for name in named if ({*ROLES["both"]} - {modality}).pop() in name.split(".")]
    cut = variant.hand_tuned.cuts()[modality].prefix
    assert list(bench._sources) == [Reading(modality, cut)]
    assert run_of(bench).next_epoch().branches == {}


@pytest.mark.slow
@every_variant
def test_what_has_no_say_without_a_modality_changes_nothing_there(
    variant: Variant[Any], bench_of: Callable[..., Workbench]
) -> None:
    assert variant.unread("both") == frozenset()
    for modality, other in (("text", "image"), ("image", "text")):
        unread = variant.unread(modality)  # type: ignore[arg-type] # literals above
        assert f"{other}_unfrozen_layers" in unread
        assert f"{modality}_unfrozen_layers" not in unread
        logits = []
        for name in (None, *unread):
            values = (
                {} if name is None else {name: UNLIKE[type(getattr(variant.hand_tuned, name))]}
            )
            torch.manual_seed(0)
            bench = bench_of(variant, modality=modality)
            logits.append(logits_of(bench, replace(variant.hand_tuned, **values))[0])
        assert all(torch.equal(each, logits[0]) for each in logits)


@pytest.mark.slow
@every_variant
@pytest.mark.parametrize("modality", ROLES)
def test_cached_equals_uncached(
    variant: Variant[Any],
    modality: Modality,
    make_experiment: Callable[..., Experiment],
    bench_of: Callable[..., Workbench],
) -> None:
    live = run_of(bench_of(variant, modality=modality))
    kept = run_of(bench_of(variant, modality=modality, cache=make_experiment().cache))
    for _ in range(2):
        expected, got = live.next_epoch(), kept.next_epoch()
        assert got.probabilities == pytest.approx(expected.probabilities, abs=2e-5)
    cache = Path(str(make_experiment().cache))
    stored = {path.name.split("-")[0] for path in cache.iterdir() if path.name != MARKER}
    assert stored == {*ROLES[modality]}


@pytest.mark.slow
@every_variant
def test_a_resumed_trial_equals_an_unbroken_one_bit_for_bit(
    variant: Variant[Any], bench_of: Callable[..., Workbench]
) -> None:
    bench = bench_of(variant, folds=folds_of(2))
    unbroken, broken, resumed = run_of(bench), run_of(bench), run_of(bench)
    for _ in range(2):
        unbroken.next_epoch()
    broken.next_epoch()
    resumed.load_state_dict(broken.state_dict())
    assert (resumed.next_epoch().probabilities != 0).all()
    for got, wanted in zip(
        parameters_of(resumed.trainers), parameters_of(unbroken.trainers), strict=True
    ):
        assert torch.equal(got, wanted)


@every_variant
def test_a_negative_number_of_layers_is_refused(variant: Variant[Any]) -> None:
    for field in unfrozen_fields(variant).values():
        with pytest.raises(ConfigError, match=f"^{field} must be >= 0, got -1$"):
            variant.config.from_params({field: -1})


@every_variant
def test_faults_of_the_common_hyperparameters_are_still_found(variant: Variant[Any]) -> None:
    with pytest.raises(ConfigError, match="batch_size must be >= 1, got 0"):
        variant.config.from_params({"batch_size": 0})


def test_the_table_of_variants_imports_no_framework() -> None:
    code = (
        "import sys, trainables.variants\n"
        "heavy = {'torch', 'torchvision', 'transformers', 'ray', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
