from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trainables.tasks.profile import rehearse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainables.experiment import Experiment

SMALL: dict[str, Any] = {"batch_size": 8, "projection_width": 16, "hidden_width": 16}
LIGHT = SMALL | {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}
MIDDLE = SMALL | {"text_unfrozen_layers": 1, "image_unfrozen_layers": 0}
HEAVY = SMALL | {"text_unfrozen_layers": 2, "image_unfrozen_layers": 1}


def test_the_extremes_are_found_timed_and_weighed(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    told = rehearse(make_experiment(), [MIDDLE, HEAVY, LIGHT])
    assert told["heaviest"]["trainable"] > told["lightest"]["trainable"] > 0
    for name in ("heaviest", "lightest"):
        one = told[name]
        assert one["batch"] == 8
        # A full trial: 3 epochs of 24 training and 6 validation samples.
        expected = 3 * (3 * one["step_seconds"] + 6 * one["validation_seconds"])
        assert one["seconds"] == pytest.approx(expected)
        assert one["memory_mb"] > 0
    assert told["heaviest"]["memory_mb"] >= told["lightest"]["memory_mb"]
    assert not (tmp_path / "cache").exists(), "the cache of the search is left alone"


@pytest.mark.slow
def test_disk_is_told_for_all_samples_and_cuts(
    make_experiment: Callable[..., Experiment],
) -> None:
    from trainables.worker import build_activations

    experiment = make_experiment()
    told = rehearse(experiment, [HEAVY, LIGHT])
    for _ in build_activations(experiment, [HEAVY, LIGHT]):
        pass
    assert experiment.cache is not None
    files = list(experiment.cache.glob("*.safetensors"))
    assert told["files"] == len(files) == 4
    real = sum(file.stat().st_size for file in files)
    assert told["bytes"] == pytest.approx(real, rel=0.5), "texts differ in length, samples are few"
    assert told["free_bytes"] > told["bytes"]


@pytest.mark.slow
def test_disk_is_told_to_the_byte_where_rows_are_of_one_size(
    make_experiment: Callable[..., Experiment], weights: Mapping[str, str]
) -> None:
    """Every source, and each way to clean, prepare and pool, is one more file."""
    from trainables.worker import build_activations

    texts = {f"text/{name}": weights[name] for name in ("bert", "roberta")}
    experiment = make_experiment(backbones={**texts, "image": "tiny"})
    both = LIGHT | {"text_backbone": "bert+roberta"}
    changed = {
        "text_pooling": "cls",
        "text_pooled_layers": "both",
        "text_cleaning": "basic",
        "image_preparation": "basic",
    }
    configs = [both, *(both | {name: value} for name, value in changed.items())]
    told = rehearse(experiment, configs)
    for _ in build_activations(experiment, configs):
        pass
    assert experiment.cache is not None
    sizes = [file.stat().st_size for file in experiment.cache.glob("*.safetensors")]
    # Of two texts: as is, and with each of three changes; of the image: as is, and with one.
    assert told["files"] == len(sizes) == 2 * (1 + 3) + (1 + 1)
    assert told["bytes"] == pytest.approx(sum(sizes), abs=16 * len(sizes)), "heads name the count"


def test_without_a_cache_no_disk_is_asked_for(make_experiment: Callable[..., Experiment]) -> None:
    told = rehearse(make_experiment(cache=None), [LIGHT])
    assert (told["bytes"], told["files"]) == (0, 0)
    assert told["heaviest"]["seconds"] > 0


def test_text_that_reads_its_image_is_rehearsed_beside_text_that_does_not(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment(variant="blip", backbones={"blip": "tiny"})
    frozen = {"batch_size": 8, "text_unfrozen_layers": 0, "image_unfrozen_layers": 0}
    told = rehearse(experiment, [{**frozen, "fusion": which} for which in ("add", "cross")])
    assert told["files"] == 3  # of the text, of the image, and of both at once
