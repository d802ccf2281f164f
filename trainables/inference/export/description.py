"""Say in JSON how to feed an exported graph, and how to read what it gives.

It is for those who have neither this code nor PyTorch: every step between a posted pair and its
class stands there, with its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainables.data.images import FITS_IN_WORDS, OPENED_IN_WORDS
from trainables.data.text import LOWER, STEPS
from trainables.data.views import VIEWS
from trainables.inference.about import members_in
from trainables.inference.export.graph import CALIBRATED, PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.config import TextCleaning
    from trainables.evaluation.decision import DecisionRule
    from trainables.inference.export.graph import ProbabilityGraph
    from trainables.inference.export.inputs import Pixels, Tokens

FORMAT = 1

_DECISION = (
    "the class with the largest probability * weight; but fallback_class where the probabilities"
    " of all other classes are below fallback_threshold"
)


def save_tokenizers(graph: ProbabilityGraph, folder: Path) -> None:
    """Write the files of each tokenizer into a folder of its own, named after its input."""
    for tokens in graph.inputs.tokens:
        (folder / tokens.ids).mkdir(parents=True)
        tokens.tower.tokenizer.save(folder / tokens.ids)


def described(
    graph: ProbabilityGraph, about: Mapping[str, Any], rule: DecisionRule, tokenizers: str
) -> dict[str, Any]:
    """Describe a graph.

    Args:
        graph: The graph.
        about: The content of its model folder's config.
        rule: How the model decides.
        tokenizers: Where `save_tokenizers` wrote to, relative to the description.

    Returns:
        The description, JSON-ready.
    """
    classes, fallback = rule.classes.names, rule.classes.fallback_name
    axes = graph.inputs.axes
    inputs: dict[str, Any] = {}
    for tokens in graph.inputs.tokens:
        shape = list(axes[tokens.ids].values())
        inputs[tokens.ids] = _of_ids(tokens, f"{tokenizers}/{tokens.ids}", shape)
        what = f"1 for every token of {tokens.ids}, 0 for padding"
        inputs[tokens.mask] = {"of": "text", "dtype": "int64", "shape": shape, "what": what}
    inputs |= {pixels.name: _of_pixels(pixels) for pixels in graph.inputs.pixels}
    inputs |= {name: _of_view(name) for name in graph.inputs.views}
    kept = {name: about[name] for name in ("modality", "random_backbones")}
    return {
        "format": FORMAT,
        "variants": list(dict.fromkeys(member.variant for member in members_in(about))),
        **kept,
        "classes": list(classes),
        "inputs": inputs,
        "outputs": {
            PROBABILITIES: _of_output("of each class, in the order of classes: decide on these"),
            CALIBRATED: _of_output(f"the same at temperature {rule.temperature}: show these"),
        },
        "decision": {
            "how": _DECISION,
            "weights": {n: rule.neutral_weight if n == fallback else 1.0 for n in classes},
            "fallback_class": fallback,
            "fallback_threshold": 0.0 if fallback is None else rule.neutral_threshold,
        },
    }


def _of_output(what: str) -> dict[str, Any]:
    return {"dtype": "float32", "shape": ["batch", "classes"], "what": what}


def _of_ids(tokens: Tokens, folder: str, shape: list[str]) -> dict[str, Any]:
    tokenizer, inputs = tokens.tower.tokenizer, tokens.inputs
    return {
        "of": "text",
        "dtype": "int64",
        "shape": shape,
        "what": "token ids of the cleaned text, filled up with pad_id to the longest of the batch",
        "pad_id": tokenizer.pad_id,
        "cleaning": inputs.text_cleaning,
        "cleaning_steps": _steps(inputs.text_cleaning),
        "tokenizer": {"files": folder, **tokenizer.described(inputs.text_length)},
        **({"missing": "the empty text"} if inputs.missing == "allow" else {}),
    }


def _steps(cleaning: TextCleaning) -> list[dict[str, str]]:
    """Describe the steps of a cleaning, in their order."""
    return [
        {"do": LOWER}
        if isinstance(step, str)
        else {"do": "replace everywhere, as re.sub of Python", "pattern": step[0], "by": step[1]}
        for step in STEPS[cleaning]
    ]


def _of_pixels(pixels: Pixels) -> dict[str, Any]:
    inputs = pixels.inputs
    side = inputs.image_size
    lacking = {"missing": f"every pixel is {list(pixels.colour)}"} if pixels.colour else {}
    return {
        "of": "image",
        "dtype": "uint8",
        "shape": ["batch", 3, side, side],
        "what": "red, green and blue of each pixel, 0 to 255; rows from the top",
        "preparation": inputs.image_preparation,
        "preparation_steps": [
            OPENED_IN_WORDS,
            FITS_IN_WORDS[inputs.image_preparation].replace("SIZE", str(side)),
            *(
                [f"blur by Pillow's GaussianBlur of radius {inputs.blur_radius}"]
                if inputs.blur_radius
                else []
            ),
        ],
        "standardized_in_graph": {
            name: {"mean": list(tower.mean), "std": list(tower.std), "of": "pixels / 255"}
            for name, tower in pixels.towers.items()
        },
        **lacking,
    }


def _of_view(name: str) -> dict[str, Any]:
    view = VIEWS[name]
    return {
        "of": view.reads,
        "dtype": "float32",
        "shape": ["batch", view.width],
        "what": view.how,
        "columns": list(view.columns),
    }
