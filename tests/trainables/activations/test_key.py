"""Keys: another for whatever changes an activation, the same for whatever does not."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.sentiments import NEGATIVE, POSITIVE
from trainables.activations.key import ActivationKey, make_key
from trainables.config import InputSettings
from trainables.data.sample import Sample
from trainables.modules.blocks.cut import Cut

SAMPLES = [
    Sample("1", "good", Path("1.jpg"), "d1", POSITIVE),
    Sample("2", "bad", Path("2.jpg"), "d2", NEGATIVE),
]


def key_of(role: Any = "text", **changes: Any) -> ActivationKey:
    given: dict[str, Any] = {
        "tower": "w",
        "cut": Cut(1),
        "samples": SAMPLES,
        "inputs": InputSettings(),
        "dtype": "float16",
    }
    return make_key(role, **given | changes)


CHANGES: list[tuple[str, dict[str, Any]]] = [
    (role, change)
    for role in ("text", "image")
    for change in (
        {"tower": "v"},
        {"cut": Cut(2)},
        {"cut": Cut(0)},
        {"cut": Cut(0, "mean")},
        {"samples": SAMPLES[::-1]},
        {"samples": SAMPLES[:1]},
        {"dtype": "float32"},
    )
]
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("text", {"text_length": 16}),
    ("text", {"text_cleaning": "basic"}),
    ("image", {"image_size": 64}),
    ("image", {"image_preparation": "basic"}),
    ("image", {"blur_radius": 0.5}),
]


@pytest.mark.parametrize(("role", "change"), CHANGES)
def test_a_key_differs_with_what_it_depends_on(role: str, change: dict[str, Any]) -> None:
    assert key_of(role, **change).digest != key_of(role).digest


@pytest.mark.parametrize(("role", "setting"), SETTINGS)
def test_a_key_differs_with_the_settings_of_its_role_alone(
    role: str, setting: dict[str, Any]
) -> None:
    other = "image" if role == "text" else "text"
    inputs = InputSettings(**setting)
    assert key_of(role, inputs=inputs).digest != key_of(role).digest
    assert key_of(other, inputs=inputs).digest == key_of(other).digest


def test_every_setting_of_the_inputs_belongs_to_a_role() -> None:
    used = {**key_of("text").inputs, **key_of("image").inputs}
    # How texts are encoded, and what is missing, shows in the samples themselves.
    elsewhere = {"encoding", "missing"}
    assert set(used) == set(InputSettings.__dataclass_fields__) - elsewhere


def test_a_key_differs_with_its_role() -> None:
    assert key_of("text").digest.startswith("text-")
    assert key_of("image").digest.startswith("image-")


@pytest.mark.parametrize(
    ("change", "role"), [({"text": "worse"}, "text"), ({"image_digest": "d3"}, "image")]
)
def test_a_key_differs_with_the_contents_that_its_role_reads(
    change: dict[str, Any], role: str
) -> None:
    samples = [replace(SAMPLES[0], **change), SAMPLES[1]]
    other = "image" if role == "text" else "text"
    assert key_of(role, samples=samples).digest != key_of(role).digest
    assert key_of(other, samples=samples).digest == key_of(other).digest


@pytest.mark.parametrize(
    "change", [{"guid": "9"}, {"label": None}, {"image": Path("elsewhere/1.jpg")}]
)
@pytest.mark.parametrize("role", ["text", "image"])
def test_guids_labels_and_places_are_no_part_of_a_key(role: str, change: dict[str, Any]) -> None:
    samples = [replace(sample, **change) for sample in SAMPLES]
    assert key_of(role, samples=samples).digest == key_of(role).digest


def test_texts_do_not_run_into_each_other() -> None:
    def texts(*values: str) -> list[Sample]:
        return [replace(SAMPLES[0], text=value) for value in values]

    assert key_of(samples=texts("a b", "c")).samples != key_of(samples=texts("a", "b c")).samples
    assert key_of(samples=texts("ab", "")).samples != key_of(samples=texts("a", "b")).samples


@pytest.mark.parametrize(
    ("role", "library"),
    [
        *(("text", name) for name in ("numpy", "tokenizers", "torch", "transformers")),
        *(("image", name) for name in ("numpy", "pillow", "torch", "torchvision", "transformers")),
    ],
)
def test_a_key_differs_with_the_libraries_that_make_the_inputs(
    role: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of(role)
    assert library in before.libraries
    name = "trainables.activations.key._installed"
    monkeypatch.setattr(name, lambda asked: "0" if asked == library else version(asked))
    assert key_of(role).digest != before.digest


def test_a_key_differs_with_the_decoder_that_pillow_was_built_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = key_of("image")
    monkeypatch.setattr("trainables.activations.key.features.version", lambda _: "0")
    assert key_of("image").digest != before.digest


def test_a_key_differs_with_the_format() -> None:
    assert replace(key_of(), format=0).digest != key_of().digest


def test_poolings_share_a_key_where_blocks_train() -> None:
    assert key_of(cut=Cut(1, "mean")).digest == key_of(cut=Cut(1, "cls")).digest
