"""The description beside a graph: every number of a model, worked out by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.data.images import FITS_IN_WORDS
from trainables.data.text import STEPS
from trainables.inference.about import read_about
from trainables.inference.export.description import described, save_tokenizers
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def description_of(model_of: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    def describe(name: str) -> dict[str, Any]:
        predictor = Predictor(model_of(name), torch.device("cpu"))
        about = read_about(model_of(name))
        made = described(predictor.graph(), about, predictor.rule, "here")
        again: dict[str, Any] = json.loads(json.dumps(made))
        assert again == made  # as it is read back
        return made

    return describe


def test_it_says_how_the_model_decides(description_of: Callable[[str], dict[str, Any]]) -> None:
    made = description_of("text alone")
    assert made["classes"] == ["positive", "neutral", "negative"]
    assert (made["variants"], made["modality"]) == (["early_fusion"], "text")
    decision = made["decision"]
    assert decision["weights"] == {"positive": 1.0, "neutral": 1.4, "negative": 1.0}
    assert (decision["fallback_class"], decision["fallback_threshold"]) == ("neutral", 0.36)
    assert "temperature 1.7" in made["outputs"]["calibrated"]["what"]


def test_it_says_how_pixels_and_tokens_are_made(
    description_of: Callable[[str], dict[str, Any]],
) -> None:
    inputs = description_of("early fusion with the lexicon")["inputs"]
    assert list(inputs) == ["input_ids", "attention_mask", "pixel_values", "lexicon"]
    ids, pixels = inputs["input_ids"], inputs["pixel_values"]
    assert ids["shape"] == inputs["attention_mask"]["shape"] == ["batch", "tokens"]
    assert (ids["cleaning"], ids["pad_id"]) == ("improved", 0)
    assert ids["tokenizer"]["files"] == "here/input_ids"
    assert ids["tokenizer"]["most_tokens"] == 12
    assert pixels["shape"] == ["batch", 3, 64, 64]
    assert pixels["preparation"] == "imagenet"
    assert "64 x 64 by BILINEAR" in pixels["preparation_steps"][1]
    standard = pixels["standardized_in_graph"]["image"]
    assert (standard["mean"], standard["std"]) == ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
    assert len(inputs["lexicon"]["columns"]) == inputs["lexicon"]["shape"][1] == 17


def test_what_members_read_in_several_ways_are_several_inputs(
    description_of: Callable[[str], dict[str, Any]],
) -> None:
    inputs = description_of("an ensemble that reads in several ways")["inputs"]
    texts, images = ("input_ids", "input_ids_2"), ("pixel_values", "pixel_values_2")
    assert [inputs[name]["cleaning"] for name in texts] == ["improved", "minimal"]
    assert [inputs[name]["preparation"] for name in images] == ["imagenet", "basic"]
    assert inputs["attention_mask_2"]["shape"] == ["batch", "tokens_2"]
    sources = description_of("two texts")["inputs"]
    assert {"input_ids", "input_ids_2"} < {*sources}
    assert "pixel_values_2" not in sources  # both members read one


def test_it_says_where_padding_counts_as_tokens(
    description_of: Callable[[str], dict[str, Any]],
) -> None:
    rule = description_of("siglip")["inputs"]["input_ids"]["tokenizer"]
    assert (rule["padded_to"], rule["most_tokens"], rule["vocabulary"]) == (9, 9, 60)
    assert rule["how"].endswith("pad to padded_to with pad_id, and take that padding for tokens")


def test_each_input_of_tokens_has_the_files_of_its_tokenizer(
    model_of: Callable[[str], Path], tmp_path: Path
) -> None:
    graph = Predictor(model_of("two texts"), torch.device("cpu")).graph()
    save_tokenizers(graph, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input_ids", "input_ids_2"]
    assert all((path / "tokenizer.json").is_file() for path in tmp_path.iterdir())


def test_no_cleaning_or_preparation_is_left_undescribed() -> None:
    from typing import get_args

    from trainables.config import ImagePreparation, TextCleaning

    assert {*STEPS} == {*get_args(TextCleaning)}
    assert {*FITS_IN_WORDS} == {*get_args(ImagePreparation)}
