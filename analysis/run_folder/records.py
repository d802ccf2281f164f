"""What the JSON records of a run folder must hold, so that who reads them need not look twice.

Only what readers rely on is said: a record may hold more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema

from analysis.run_folder.io import DamageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Schema = Mapping[str, Any]

_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**53}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_COUNTS = {"type": "array", "items": _COUNT}
_SCORES = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}


def _object(*optional: str, **properties: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "null"}, schema]}


_INTERVAL = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_FACTOR = _or_null({"type": "number", "exclusiveMinimum": 1})  # else rungs never end
_TUNING = _object("epochs", "reduction_factor", epochs=_or_null(_COUNT), reduction_factor=_FACTOR)
_SETTINGS = _object(
    "tuning",
    "resources",
    tuning=_TUNING,
    resources=_object("study_storage", study_storage=_or_null(_TEXT)),
)
_DATA = _object(
    name=_TEXT,
    is_demo={"type": "boolean"},
    digest=_TEXT,
    labelled=_COUNT,
    unlabelled=_COUNT,
    classes={"type": "object", "additionalProperties": _COUNT},
)
_SPLIT = _object(
    "kind", "repeats", kind=_TEXT, folds=_COUNT, repeats=_COUNT, train=_COUNTS, val=_COUNTS
)
_HARDWARE = _object(
    "machines", "cpus", "gpus", "slots", machines=_NUMBER, cpus=_NUMBER, gpus=_NUMBER, slots=_COUNT
)

SEARCH: Schema = _object(
    *("modality", "name", "command", "settings", "grace_epochs", "hardware", "versions"),
    *("backbones", "random_backbones", "backbone_digests", "notes", "code", "activations"),
    *("attempts", "parameters"),
    model=_TEXT,
    modality=_TEXT,
    objective={"type": "string", "pattern": "^val_"},
    mode={"enum": ["max", "min"]},
    name=_TEXT,
    command=_TEXT,
    settings=_SETTINGS,
    grace_epochs=_or_null({"type": "integer", "minimum": 1}),
    data=_DATA,
    split=_SPLIT,
    hardware=_HARDWARE,
    versions={"type": "object"},
    parameters={"type": "object"},
    backbones={"type": "object"},
    random_backbones=_TEXTS,
    backbone_digests={"type": "object"},
    notes=_TEXTS,
    code=_or_null(_object(commit=_TEXT, changed={"type": "boolean"})),
    activations={
        "type": "array",
        "items": _object(cached={"type": "boolean"}, seconds=_NUMBER),
    },
    attempts={"type": "array"},
)
"""The content of `search.json`."""

_TOLD = {"trial": _COUNT, "score": _NUMBER, "scores": _SCORES}
_CANDIDATE = _object(
    *("interval", "spread"),
    trial=_COUNT,
    searched=_or_null(_NUMBER),
    confirmed=_NUMBER,
    spread=_or_null(_NUMBER),
    interval=_or_null(_INTERVAL),
)
_DECISION = _object(
    *("neutral_threshold", "temperature", "tuned_score", "searched_score"),
    rule={"enum": ["searched", "argmax", "tuned"]},
    neutral_threshold=_or_null(_NUMBER),
    temperature=_or_null(_NUMBER),
    tuned_score=_or_null(_NUMBER),
    searched_score=_or_null(_NUMBER),
)
_FLOOR = _object(
    *("majority", "logistic_regression", "interval", "standard_errors"),
    majority=_SCORES,
    logistic_regression=_SCORES,
    interval=_or_null(_INTERVAL),
    standard_errors=_or_null(_NUMBER),
)

BEST: Schema = _object(
    *("objective", "mode", "hand_tuned", "confirmed", "candidates", "decision"),
    *("floor", "verdict", "final"),
    **_TOLD,
    objective=_TEXT,
    mode={"enum": ["max", "min"]},
    best_epoch=_COUNT,
    params={"type": "object"},
    why=_TEXT,
    hand_tuned=_or_null(_object(**_TOLD)),
    confirmed=_or_null(_object(score=_NUMBER, scores=_SCORES, interval=_INTERVAL)),
    candidates=_or_null({"type": "array", "items": _CANDIDATE}),
    decision=_or_null(_DECISION),
    floor=_or_null(_FLOOR),
    verdict=_or_null(_TEXT),
    final=_or_null(_object("why", kind=_TEXT, why=_or_null(_TEXT))),
)
"""The content of `best.json`."""

STAGES: Schema = {
    "type": "object",
    "additionalProperties": _object(depends_on={"type": "object"}, result={"type": "object"}),
}
"""The content of `stages.json`."""

_WORD = {
    "type": "array",
    "prefixItems": [_TEXT, _NUMBER],
    "minItems": 2,
    "maxItems": 2,
}
EXPLANATIONS: Schema = _object(
    samples={
        "type": "array",
        "items": _object(
            *("overlay", "words"),
            row=_COUNT,
            decided=_TEXT,
            probability=_NUMBER,
            overlay=_or_null(_TEXT),
            words={"type": "array", "items": _WORD},
        ),
    }
)
"""The content of `explanations/index.json`."""


def checked(path: Path, record: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """Hold a record against what it must hold.

    Args:
        path: Its file.
        record: What was read.
        schema: What it must hold.

    Returns:
        The record.

    Raises:
        DamageError: If it lacks something or holds another kind of thing.
    """
    validator = jsonschema.Draft202012Validator(schema)
    fault = jsonschema.exceptions.best_match(validator.iter_errors(record))
    if fault is not None:
        where = fault.json_path.removeprefix("$.").removeprefix("$")
        raise DamageError(
            path, f"must be as a search wrote it, got {where or 'a record'}: {fault.message}"
        )
    return record
