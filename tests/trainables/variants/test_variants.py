"""The contract of every variant in `VARIANTS`: a new one is tested untouched."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.config import ConfigError
from trainables.variants import VARIANTS
from trainables.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from trainables.experiment import Experiment
    from trainables.modules.classifier import Classifier
    from trainables.variants.variant import Variant

ROWS = torch.tensor([3, 0, 11, 5])
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


@pytest.fixture
def bench_of(make_experiment: Callable[..., Experiment]) -> Callable[[Variant[Any]], Workbench]:
    """Make a bench of tiny towers, without a cache."""

    def make(variant: Variant[Any]) -> Workbench:
        backbones = dict.fromkeys(variant.backbones, "tiny")
        return Workbench(make_experiment(variant=variant.name, backbones=backbones, cache=None))

    return make


def unfrozen_fields(variant: Variant[Any]) -> dict[str, str]:
    """The field of each role that says how many of its layers train."""
    fields = variant.config.__dataclass_fields__
    roles = variant.cuts(variant.hand_tuned)
    return {r: f"{r}_unfrozen_layers" for r in roles if f"{r}_unfrozen_layers" in fields}


def logits_of(bench: Workbench, config: Any) -> tuple[Tensor, Classifier]:
    classifier = bench.variant.build(config, bench.towers).eval()
    batch = {
        role: bench.source(role, cut).gather(ROWS)
        for role, cut in bench.variant.cuts(config).items()
    }
    return classifier(batch), classifier


@every_variant
def test_a_variant_is_known_by_its_name(variant: Variant[Any]) -> None:
    assert VARIANTS[variant.name] is variant
    assert set(variant.cuts(variant.hand_tuned)) <= {"text", "image"}


@every_variant
def test_the_hand_tuned_config_and_the_defaults_are_valid(variant: Variant[Any]) -> None:
    assert isinstance(variant.hand_tuned, variant.config)
    assert list(variant.hand_tuned.faults()) == []
    assert list(variant.config().faults()) == []
    assert list(variant.inputs.faults()) == []


@every_variant
def test_logits_have_one_column_per_class(
    variant: Variant[Any], bench_of: Callable[[Variant[Any]], Workbench]
) -> None:
    logits, _ = logits_of(bench_of(variant), variant.hand_tuned)
    assert logits.shape == (4, 3)
    assert logits.isfinite().all()
    assert logits.std(dim=0).min() > 0


@every_variant
def test_gradients_reach_exactly_what_is_unfrozen_at_every_depth(
    variant: Variant[Any], bench_of: Callable[[Variant[Any]], Workbench]
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
    variant: Variant[Any], bench_of: Callable[[Variant[Any]], Workbench]
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
    variant: Variant[Any], bench_of: Callable[[Variant[Any]], Workbench]
) -> None:
    bench = bench_of(variant)
    config = variant.hand_tuned
    classifier = variant.build(config, bench.towers).eval()
    cuts = variant.cuts(config)
    batch = {role: bench.source(role, cut).gather(ROWS) for role, cut in cuts.items()}
    before = classifier(batch)
    for role, cut in cuts.items():
        swapped = bench.source(role, cut).gather(ROWS.flip(0))
        assert not torch.allclose(classifier({**batch, role: swapped}), before)


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
