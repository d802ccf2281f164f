"""Trials on a GPU: what is cached, where it lies and what ran before change no result."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import folds_of
from tests.gpu.conftest import PARAMS, VARIANTS, epochs
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment

pytestmark = pytest.mark.gpu
# Largest difference of a probability after two epochs, cached against uncached: the frozen part
# runs in float32 in both, but in batches of other sizes, for which cuBLAS and cuDNN may choose
# other kernels; training in half precision then rounds to another neighbour.
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.mark.parametrize("precision", TOLERANCE)
@each_variant
def test_cached_equals_uncached(
    make_experiment: Callable[..., Experiment],
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    variant: str,
    precision: str,
) -> None:
    if device.type == "cpu" and precision == "float16":
        pytest.skip("needs a GPU")
    monkeypatch.setattr("trainables.training.fold.precision_of", lambda _: precision)
    settings = {"variant": variant, "backbones": VARIANTS[variant]}
    cached, _ = epochs(Workbench(make_experiment(**settings), device), 2)
    uncached, _ = epochs(Workbench(make_experiment(**settings, cache=None), device), 2)
    for one, other in zip(cached, uncached, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=TOLERANCE[precision])


@each_variant
def test_activations_on_the_device_equal_those_on_the_host_bit_for_bit(
    make_experiment: Callable[..., Experiment], device: torch.device, variant: str
) -> None:
    settings = {"variant": variant, "backbones": VARIANTS[variant]}
    (host, weights_host), (resident, weights_resident) = (
        epochs(Workbench(make_experiment(**settings, resident=where), device), 2)
        for where in ("host", "device")
    )
    for one, other in zip(host, resident, strict=True):
        assert (one.probabilities == other.probabilities).all()
    assert all(map(torch.equal, weights_host, weights_resident))


@each_variant
def test_a_seed_repeats_a_trial(
    make_experiment: Callable[..., Experiment], device: torch.device, variant: str
) -> None:
    settings = {"variant": variant, "backbones": VARIANTS[variant]}
    (first, _), (second, _) = (
        epochs(Workbench(make_experiment(**settings), device), 2, head_dropout=0.3)
        for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        # Sums of a GPU's atomic additions come in any order.
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)


def test_folds_in_lockstep_equal_each_fold_alone(
    make_experiment: Callable[..., Experiment], device: torch.device
) -> None:
    folds = folds_of(2)
    together = Workbench(make_experiment(folds=folds), device)
    config = together.config(PARAMS | {"projection_width": 16})
    both = together.start(config, seeds=[1, 2])
    alone = [
        together.start(config, [fold], [seed]) for fold, seed in zip(folds, (1, 2), strict=True)
    ]
    joined = both.next_epoch()
    for fold, run in zip(folds, alone, strict=True):
        said = run.next_epoch()
        places = [list(joined.rows).index(row) for row in fold.val]
        assert joined.probabilities[places] == pytest.approx(said.probabilities, abs=1e-3)


def test_two_trials_in_one_process_leave_no_memory_behind(
    make_experiment: Callable[..., Experiment], cuda: torch.device
) -> None:
    bench = Workbench(make_experiment(resident="device"), cuda)
    taken = []
    for layers in (1, 2, 1, 2, 1):
        epochs(bench, 1, text_unfrozen_layers=layers)
        gc.collect()
        taken.append(torch.cuda.memory_allocated())
    assert taken[2] == taken[0]
    assert taken[3] == taken[1]
    assert taken[4] == taken[2]


@pytest.mark.parametrize("there_and_back", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_crosses_from_device_to_device(
    make_experiment: Callable[..., Experiment],
    device: torch.device,
    there_and_back: tuple[str, str],
    tmp_path: Any,
) -> None:
    devices = [torch.device("cpu") if name == "cpu" else device for name in there_and_back]
    runs = []
    for one in devices:
        bench = Workbench(make_experiment(), one)
        runs.append(bench.start(bench.config(PARAMS | {"projection_width": 16})))
    runs[0].next_epoch()
    torch.save(runs[0].state_dict(), tmp_path / "state")
    state = torch.load(tmp_path / "state", map_location="cpu", weights_only=True)
    runs[1].load_state_dict(state)
    assert runs[1].epoch == 1
    here, there = (run.next_epoch() for run in runs)
    assert here.probabilities == pytest.approx(there.probabilities, abs=2e-2)
