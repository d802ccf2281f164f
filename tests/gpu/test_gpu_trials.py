"""Trials on a GPU: what is cached, where it lies and what ran before change no result."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import NARROW, folds_of
from tests.gpu.conftest import PARAMS, VARIANTS, epochs, known, without_dropout
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
    make_experiment: Callable[..., Experiment], device: torch.device, variant: str, precision: str
) -> None:
    settings = {"variant": variant, "backbones": VARIANTS[variant], "precision": precision}
    cached, _ = epochs(Workbench(make_experiment(**settings), device), 2)
    uncached, _ = epochs(Workbench(make_experiment(**settings, cache=None), device), 2)
    for one, other in zip(cached, uncached, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=TOLERANCE[precision])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@each_variant
def test_half_precision_trains_nearly_as_float32_does(
    make_experiment: Callable[..., Experiment], device: torch.device, variant: str, precision: str
) -> None:
    settings = {"variant": variant, "backbones": VARIANTS[variant]}
    found = [
        epochs(Workbench(make_experiment(**settings, precision=each), device), 2)[0][-1]
        for each in ("float32", precision)
    ]
    assert found[0].probabilities == pytest.approx(found[1].probabilities, abs=5e-2)
    assert found[0].metrics["train_loss"] == pytest.approx(found[1].metrics["train_loss"], abs=0.1)


@each_variant
def test_activations_on_the_device_are_those_on_the_host_bit_for_bit(
    make_experiment: Callable[..., Experiment], device: torch.device, variant: str
) -> None:
    settings = {"variant": variant, "backbones": VARIANTS[variant]}
    rows = torch.tensor([5, 3, 29, 0, 35])
    gathered = []
    for where in ("host", "device"):
        bench = Workbench(make_experiment(**settings, resident=where), device)
        readings = bench.variant.readings(bench.config(known(bench, NARROW | PARAMS)))
        sources = [bench.source(*read) for read in readings.values()]
        gathered += [[source.gather(rows).values.cpu() for source in sources]]
    assert all(map(torch.equal, *gathered))


@pytest.mark.usefixtures("exact")
@each_variant
def test_where_activations_lie_changes_no_epoch(
    make_experiment: Callable[..., Experiment], device: torch.device, variant: str
) -> None:
    settings = {"variant": variant, "backbones": VARIANTS[variant]}
    (host, _), (resident, _) = (
        epochs(Workbench(make_experiment(**settings, resident=where), device), 2)
        for where in ("host", "device")
    )
    for one, other in zip(host, resident, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=repeated(device))


@pytest.mark.usefixtures("exact")
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
        assert one.probabilities == pytest.approx(other.probabilities, abs=repeated(device))


def repeated(device: torch.device) -> float:
    """How far a repeated epoch may be off: sums of a GPU's atomic additions come in any order."""
    return 0.0 if device.type == "cpu" else 1e-4


@pytest.mark.usefixtures("exact")
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
        assert joined.probabilities[places] == pytest.approx(
            said.probabilities, abs=repeated(device)
        )


def test_two_trials_in_one_process_leave_no_memory_behind(
    make_experiment: Callable[..., Experiment], cuda: torch.device
) -> None:
    bench = Workbench(make_experiment(resident="device"), cuda)
    taken = []
    for layers in (1, 2) * 3:
        epochs(bench, 1, text_unfrozen_layers=layers)
        gc.collect()
        taken.append(torch.cuda.memory_allocated())
    # In the first two, libraries take what they keep for as long as the process lives.
    assert taken[4:6] == taken[2:4]


def test_a_gpu_is_taken_where_there_is_one(
    make_experiment: Callable[..., Experiment],
    cuda: torch.device,
) -> None:
    bench = Workbench(make_experiment())
    assert bench.device.type == cuda.type
    (trainer,) = bench.start(bench.config(PARAMS | {"projection_width": 16})).trainers
    assert {p.device.type for p in trainer.classifier.parameters()} == {"cuda"}


@pytest.mark.usefixtures("exact")
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
        without_dropout(runs[-1].trainers[0].classifier)
    runs[0].next_epoch()
    torch.save(runs[0].state_dict(), tmp_path / "state")
    state = torch.load(tmp_path / "state", map_location="cpu", weights_only=True)
    runs[1].load_state_dict(state)
    assert runs[1].epoch == 1
    here, there = (run.next_epoch() for run in runs)
    assert here.probabilities == pytest.approx(there.probabilities, abs=1e-3)
