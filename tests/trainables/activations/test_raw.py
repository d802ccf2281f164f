"""Raw inputs: padded token ids, pixels on demand, prefixes run live."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainables.activations.conftest import CPU, INPUTS, Bench
from trainables.activations import raw as raw_module
from trainables.activations.raw import (
    LivePrefix,
    RawImages,
    RawTexts,
    gather_ragged,
    raw_inputs,
)
from trainables.data.images import ImageError, open_image, prepare_image
from trainables.data.sample import Sample
from trainables.data.text import clean_text
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations


def test_ragged_rows_are_gathered_and_padded_by_hand() -> None:
    values = torch.tensor([10, 11, 12, 20, 30, 31])
    offsets, lengths = torch.tensor([0, 3, 4]), torch.tensor([3, 1, 2])
    got, mask = gather_ragged(values, offsets, lengths, torch.tensor([2, 1, 2]))
    assert got.tolist() == [[30, 31], [20, 20], [30, 31]]
    assert mask.tolist() == [[True, True], [True, False], [True, True]]


def test_token_ids_are_those_of_the_tokenizer_padded_to_the_longest_asked_for(
    weights: Mapping[str, str], corpus: Corpus
) -> None:
    tower = load_text_tower(weights["bert"])
    raw = RawTexts(corpus.samples, INPUTS, tower)
    texts = [clean_text(sample.text, INPUTS.text_cleaning) for sample in corpus.samples]
    encoded = tower.tokenizer.encode(texts, INPUTS.text_length)
    rows = [3, 0, 7]
    ids, mask, _ = raw.gather(torch.tensor(rows))
    assert mask is not None
    assert ids.shape[1] == max(len(encoded[row]) for row in rows)
    for row, got, real in zip(rows, ids, mask, strict=True):
        assert got[real].tolist() == encoded[row]
        assert (got[~real] == tower.tokenizer.pad_id).all()


def test_padding_is_the_id_that_the_tokenizer_pads_with(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, weights: Mapping[str, str]
) -> None:
    tower = load_text_tower(weights["bert"])
    monkeypatch.setattr(tower.tokenizer, "pad_id", 4)
    ids, mask, _ = RawTexts(corpus.samples, INPUTS, tower).gather(torch.arange(12))
    assert mask is not None
    assert (~mask).any()
    assert set(ids[~mask].tolist()) == {4}


def test_lengths_are_those_of_all_texts(tiny: Mapping[str, Tower], corpus: Corpus) -> None:
    tower = tiny["text"]
    assert isinstance(tower, TextTower)
    raw = raw_inputs(corpus.samples, INPUTS, tower)
    assert len(raw) == len(corpus.samples)
    assert raw.lengths is not None
    # Sample i has i mod 12 words, of which some are but an apostrophe; and two special ids.
    words = [len(clean_text(s.text, "improved").split()) + 2 for s in corpus.samples]
    assert raw.lengths.tolist() == words
    assert min(words) == 2


def test_pixels_are_those_of_the_prepared_images_in_the_order_asked_for(corpus: Corpus) -> None:
    raw = RawImages(corpus.samples, INPUTS, threads=2)
    pixels, mask, _ = raw.gather(torch.tensor([5, 0]))
    expected = [prepare_image(open_image(corpus.samples[row].image), INPUTS) for row in (5, 0)]
    assert mask is None
    assert pixels.dtype == torch.uint8
    assert (pixels.numpy() == np.stack(expected)).all()
    assert raw.lengths is None
    assert len(raw) == len(corpus.samples)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.jpg"
    raw = RawImages([Sample("1", "", path, "")], INPUTS)
    with pytest.raises(ImageError, match=r"gone\.jpg: No such file"):
        raw.gather(torch.tensor([0]))


@pytest.mark.parametrize("role", ["text", "image"])
def test_a_live_prefix_is_the_prefix_run_on_raw_inputs(
    tiny: Mapping[str, Tower], corpus: Corpus, role: str
) -> None:
    bench = Bench(tiny[role], corpus.samples)
    live = LivePrefix(bench.raw, tiny[role].prefix(Cut(1)), CPU)
    got, wanted = live.gather(bench.rows), bench.expected(Cut(1))
    assert torch.equal(got.values, wanted.values)
    assert not got.values.requires_grad


@pytest.mark.parametrize("role", ["text", "image"])
def test_a_live_prefix_runs_on_a_bounded_number_of_samples_at_a_time(
    tiny: Mapping[str, Tower], corpus: Corpus, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    bench = Bench(tiny[role], corpus.samples)
    sizes: list[int] = []
    gather = bench.raw.gather

    def counted(rows: torch.Tensor) -> Activations:
        sizes.append(len(rows))
        return gather(rows)

    monkeypatch.setattr(bench.raw, "gather", counted)
    live = LivePrefix(bench.raw, tiny[role].prefix(Cut(1)), CPU)
    monkeypatch.setattr(raw_module, "_LIVE_ROWS", 5)
    got = live.gather(bench.rows)
    assert max(sizes) == 5
    assert sum(sizes) == len(bench.rows)
    wanted = bench.expected(Cut(1))
    if wanted.mask is None:
        assert got.mask is None
        torch.testing.assert_close(got.values, wanted.values)
        return
    assert got.mask is not None
    assert torch.equal(got.mask, wanted.mask)
    torch.testing.assert_close(got.values[got.mask], wanted.values[wanted.mask])


def test_a_tower_whose_prefix_runs_elsewhere_stays_on_the_host(
    benches: Mapping[str, Bench],
) -> None:
    bench = benches["image"]  # text looks at values, which the stand-in for a GPU has not
    before = bench.tower.fingerprint
    elsewhere = torch.device("meta")  # shapes without values stand for the GPU
    live = LivePrefix(bench.raw, bench.tower.prefix(Cut(1)), elsewhere)
    assert live.gather(bench.rows).values.device == elsewhere
    assert bench.tower.fingerprint == before


def test_what_runs_on_a_gpu_is_convolved_in_full_float32(
    benches: Mapping[str, Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    bench = benches["image"]
    LivePrefix(bench.raw, bench.tower.prefix(Cut(1)), torch.device("cpu"))
    assert torch.backends.cudnn.allow_tf32
    LivePrefix(bench.raw, bench.tower.prefix(Cut(1)), torch.device("meta"))
    assert not torch.backends.cudnn.allow_tf32


def test_a_missing_image_is_a_square_of_the_towers_mean_colour(
    tmp_path: Path, weights: Mapping[str, str], corpus: Corpus
) -> None:
    # Means of 0.4, 0.5 and 0.6: 102, 127.5 and 153, of which Python rounds the middle to 128.
    tower = load_image_tower(weights["vit"])
    assert tower.mean_colour == (102, 128, 153)
    path = tmp_path / "colour.png"
    Image.new("RGB", (90, 40), tower.mean_colour).save(path)
    there = Sample("1", "", path, "1")
    samples = [replace(there, image=None), there, corpus.samples[0]]
    for preparation in ("improved", "imagenet"):  # basic would show it on white
        inputs = replace(INPUTS, image_preparation=preparation, blur_radius=0.5)
        pixels = raw_inputs(samples, inputs, tower).gather(torch.arange(3)).values
        assert torch.equal(pixels[0], pixels[1])
        assert not torch.equal(pixels[0], pixels[2])
    near = ((pixels[0] / 255).mean(dim=(1, 2)) - torch.tensor(tower.mean)) / torch.tensor(
        tower.std
    )
    assert near.abs().max() < 0.5 / 255 / min(tower.std) + 1e-6  # half a step of 8 bits
