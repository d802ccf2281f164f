"""Read and validate the config of a saved model, without torch."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from trainables.config import ROLES
from trainables.data.corpus import Spelling
from trainables.data.encodings import Decoder
from trainables.data.rows.columns import Columns
from trainables.data.tags import Tagging
from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named
from trainables.evaluation.decision import Precision
from trainables.variants import VARIANTS
from trainables.variants.variant import MemberKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.evaluation.decision import DecisionRule

CONFIG, CLASSIFIER, FORMAT = "config.json", "classifier.safetensors", 2
SEVERAL = 3
"""The format of a model of several variants: each member says which, and with what inputs."""
DIGESTS = "sha256"
"""The config's key for the digests of the model's files."""
FALLBACK, TAGS = "fallback_class", "tags"
"""The config's keys for the fallback class, where that is another than neutral, and for the class
of each tag, where `--tags` said so."""

_PARTS = {"members": list, "inputs": dict, "decision": dict, "random_backbones": list}
_MOST_BYTES = 16 << 20
_MEMBER: dict[str, Any] = {
    "type": "object",
    "required": ["config", "weight"],
    "properties": {
        "kind": {"enum": list(get_args(MemberKind))},
        "config": {"type": "object"},
        "weight": {"type": "number", "exclusiveMinimum": 0},
    },
}
_OF_SEVERAL = _MEMBER | {
    "required": ["config", "weight", "variant", "inputs", "precision"],
    "properties": {
        **_MEMBER["properties"],
        "variant": {"enum": list(VARIANTS)},
        "inputs": {"type": "object"},
        "precision": {"enum": list(get_args(Precision))},
        "frozen_precision": {"enum": list(get_args(Precision))},
    },
}
_SHAPE = {
    "if": {"properties": {"format": {"const": SEVERAL}}},
    "then": {"properties": {"members": {"items": _OF_SEVERAL}}},
    "properties": {
        "classes": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 2,
            "uniqueItems": True,
        },
        FALLBACK: {"type": "string"},
        TAGS: {"type": "object", "additionalProperties": {"type": "string"}},
        "members": {"items": _MEMBER},
        "decision": {
            "properties": {
                "neutral_threshold": {"type": "number", "minimum": 0, "maximum": 1},
                "temperature": {"type": "number", "exclusiveMinimum": 0},
                "neutral_weight": {"type": "number", "exclusiveMinimum": 0},
            }
        },
        "random_backbones": {"items": {"type": "string"}},
    },
}


def _is_finite(_: object, value: Any) -> bool:
    """Return whether a value is a number of JSON; Python's parser also reads NaN and infinity."""
    is_number = Draft202012Validator.TYPE_CHECKER.is_type(value, "number")
    return is_number and bool(abs(value) <= sys.float_info.max)


_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _is_finite),
)


class ModelError(ValueError):
    """A folder does not contain a model that can be loaded; the message says why."""


def classifier_file(number: int) -> str:
    """Return the file name of a member, counted from 1, in a model folder."""
    return CLASSIFIER if number == 1 else f"classifier-{number}.safetensors"


class MemberEntry(NamedTuple):
    """A member as a model's config describes it.

    Attributes:
        variant: A key of `VARIANTS`.
        inputs: The fields of its `InputSettings`.
        config: Its hyperparameters.
        weight: Its weight in the average of probabilities, > 0, relative to the others.
        kind: As in `Variant.build`.
        precision: In which it computes.
        frozen_precision: In which the frozen parts of its towers compute.
    """

    variant: str
    inputs: Mapping[str, Any]
    config: Mapping[str, Any]
    weight: float
    kind: MemberKind
    precision: Precision
    frozen_precision: Precision


def members_in(about: Mapping[str, Any]) -> list[MemberEntry]:
    """List the members of a model, from its config as `read_about` returns it."""
    return [
        MemberEntry(
            one.get("variant", about.get("variant")),
            one.get("inputs", about["inputs"]),
            one["config"],
            float(one["weight"]),
            one.get("kind", "trained"),  # absent in models of earlier versions
            *(
                one.get(name, about["decision"].get(name, "float32"))  # likewise
                for name in ("precision", "frozen_precision")
            ),
        )
        for one in about["members"]
    ]


def read_about(folder: Path) -> dict[str, Any]:
    """Read a model folder's config.

    Returns:
        Its content.

    Raises:
        ModelError: If it is not a model of a known format and variant.
    """
    path = folder / CONFIG
    if missing := [name for name in (CONFIG, CLASSIFIER) if not (folder / name).is_file()]:
        msg = f"model folder {folder} must hold {CONFIG} and {CLASSIFIER}; it lacks {missing}"
        raise ModelError(msg)
    about = _read(path)
    known = about.get("format") == SEVERAL or about.get("variant") in VARIANTS
    if about.get("format") not in {FORMAT, SEVERAL} or not known:
        msg = (
            f"{path} must be of format {FORMAT} or {SEVERAL} and of a variant among"
            f" {', '.join(VARIANTS)}, got format {about.get('format')} and variant"
            f" {about.get('variant')!r}"
        )
        raise ModelError(msg)
    about.setdefault("modality", "both")  # absent in models of earlier versions
    damaged = [name for name, kind in _PARTS.items() if not isinstance(about.get(name), kind)]
    if damaged or not about["members"]:
        msg = f"{path} is damaged: it lacks {', '.join(damaged or ['members'])}"
        raise ModelError(msg)
    if not isinstance(about.get(DIGESTS, {}), dict):
        msg = f"{path} is damaged: its {DIGESTS} must be digests by file"
        raise ModelError(msg)
    if about["modality"] not in ROLES:
        msg = f"{path} must have a modality among {', '.join(ROLES)}, got {about['modality']!r}"
        raise ModelError(msg)
    if fault := best_match(_Validator(_SHAPE).iter_errors(about)):
        msg = f"{path} is damaged: {fault.json_path.removeprefix('$.')}: {fault.message[:200]}"
        raise ModelError(msg)
    fallback, names = about.get(FALLBACK), about.get("classes", SENTIMENTS.names)
    if fallback is not None and fallback not in names:
        msg = f"{path} must have a {FALLBACK} among its classes, got {fallback!r}"
        raise ModelError(msg)
    return about


def classes_in(about: Mapping[str, Any]) -> Classes:
    """Return the classes of a model, given its config; those of older models are the lab's."""
    names = about.get("classes", SENTIMENTS.names)
    return classes_named(names, about.get(FALLBACK), about.get(TAGS))


def classes_record(classes: Classes) -> dict[str, Any]:
    """Return what a config says of the classes; what follows from their names is left out."""
    known: dict[str, Any] = {"classes": classes.names}
    if classes != classes_named(classes.names):
        known[FALLBACK] = classes.fallback_name
    if classes.tags:
        known[TAGS] = dict(classes.tags)
    return known


def rule_record(rule: DecisionRule) -> dict[str, Any]:
    """Return what a config says of how a model decides."""
    return {name: value for name, value in asdict(rule).items() if name != "classes"}


def spelling_in(
    about: Mapping[str, Any],
    encoding: str | None = None,
    tags: Mapping[str, str] | None = None,
    columns: Columns | None = None,
) -> Spelling:
    """Return how a data set for a model is spelt, unless it shows otherwise.

    Args:
        about: The model's config.
        encoding: Of texts that are not UTF-8; None tries that of the model's own data.
        tags: The class of each tag; by default as the model's own data had them.
        columns: What its lists call their columns; by default as we do.

    Returns:
        How it is spelt.
    """
    decoder = Decoder(encoding, about["inputs"].get("encoding"))
    tagging = Tagging(tags or {}, known=classes_in(about))
    return Spelling(decoder, tagging, columns or Columns())


def _read(path: Path) -> dict[str, Any]:
    if (size := path.stat().st_size) > _MOST_BYTES:
        msg = f"{path} must be JSON of up to {_MOST_BYTES:,} bytes, got {size:,}"
        raise ModelError(msg)
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{path} must be JSON: {error}"
        raise ModelError(msg) from error
    return read if isinstance(read, dict) else {}
