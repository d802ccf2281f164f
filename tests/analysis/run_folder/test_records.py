"""The JSON records: written as they were read, refused in one line where they are not whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import MISSING, fields, is_dataclass, replace
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import pytest

from analysis.run_folder.best_record import Best
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import DamageError
from analysis.run_folder.records import from_json, read_record, to_json
from analysis.run_folder.search_record import Search
from analysis.run_folder.stage_record import Stage
from tests.analysis.synthetic import CHOSEN, METRIC, SEARCHED, write_run
from tests.records import best_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIAL = {"trial": 1, "fate": "finished", "best_epoch": 2, "score": 0.5, "scores": {METRIC: 0.5}}
CONFIRMED = {
    "score": 0.4,
    "spread": 0.1,
    "standard_error": 0.05,
    "interval": [0.3, 0.5],
    "covers": "which samples are scored",
    "scores": {METRIC: 0.4},
    "epochs": 3,
    "repeats": 1,
    "contenders": 2,
    "folds_chose": [1, 0],
}
CANDIDATE = {
    "trial": 1,
    "hand_tuned": False,
    "searched": 0.5,
    "confirmed": 0.4,
    "spread": 0.1,
    "interval": [0.3, 0.5],
    "epochs": 3,
}
BEST: dict[str, Any] = {
    "objective": METRIC,
    "mode": "max",
    **TRIAL,
    "params": {"normalize": False, "head_dropout": 0.5},
    "why": "the best of 2 configs",
    "hand_tuned": TRIAL | {"trial": 0},
    "confirmed": CONFIRMED,
    "candidates": [CANDIDATE, CANDIDATE | {"trial": 0, "hand_tuned": True}],
    "comparison": {
        "trial": 1,
        "other": 0,
        "difference": 0.1,
        "interval": [0.0, 0.2],
        "p_value": 0.2,
    },
    "decision": {
        "rule": "searched",
        "neutral_threshold": 0.3,
        "temperature": 1.5,
        "searched_score": 0.4,
        "tuned_score": 0.45,
        "neutral_weight": 1.25,
    },
    "floor": {
        "majority": {METRIC: 0.2},
        "logistic_regression": {METRIC: 0.3},
        "interval": [0.2, 0.4],
        "margin": 0.1,
        "standard_errors": 2.0,
        "hand_tuned": {METRIC: 0.35},
    },
    "verdict": "it beats all",
    "ensemble": {
        "members": [
            {
                "trial": 2,
                "reads": {},
                "weight": 0.75,
                "confirmed": 0.4,
                "epochs": 3,
                "model": "blip",
            },
            {
                "trial": None,
                "reads": {"lexicon": True},
                "weight": 0.25,
                "confirmed": 0.3,
                "epochs": 0,
            },
        ],
        "score": 0.45,
        "spread": 0.02,
        "standard_error": 0.03,
        "interval": [0.4, 0.5],
        "covers": "which samples are scored",
        "scores": {METRIC: 0.45},
        "margin": 0.05,
        "margin_error": 0.02,
        "p_value": 0.04,
        "preferred": True,
        "neutral_weight": 1.5,
        "temperature": 1.2,
        "verdict": "it beats the best config alone",
        "neutral_threshold": 0.35,
    },
    "final": {
        "kind": "refit",
        "why": "asked for",
        "scores": {"refit": 0.4},
        "epochs": 3,
        "seeds": 1,
        "members": 1,
        "temperature": 1.5,
        "parameters": 9,
    },
}
HARDWARE = {
    "machines": 1,
    "cpus": 2.0,
    "gpus": 0.0,
    "cpus_per_trial": 1.0,
    "gpus_per_trial": 0.0,
    "slots": 2,
    "system": "Linux x86_64",
}
CODE = {"commit": "0" * 40, "changed": False}
SEARCH: dict[str, Any] = {
    "model": "early_fusion",
    "modality": "both",
    "objective": METRIC,
    "mode": "max",
    "command": "python -m search.run --model early_fusion",
    "name": "early_fusion-1",
    "settings": {
        "model": "early_fusion",
        "trials": 6,
        "seed": 0,
        "data": {"path": "demo", "folds": 1},
        "tuning": {"metric": METRIC, "epochs": 5, "reduction_factor": 3.0},
        "selection": {"confirm": None, "decision": "searched"},
        "resources": {"cache": None, "study_storage": None},
    },
    "space": {"fixed": {}, "ranges": {"head_dropout": [0.1, 0.2]}},
    "hand_tuned": {"head_dropout": 0.5},
    "grace_epochs": 2,
    "inputs": {"text_length": 64, "encoding": None},
    "data": {
        "name": "demo",
        "is_demo": True,
        "digest": "d1",
        "encoding": None,
        "labelled": 60,
        "unlabelled": 2,
        "held_out": 1,
        "missing": {"text": 0, "image": 2},
        "classes": {"positive": 20, "neutral": 20, "negative": 20},
        "fallback_class": "neutral",
    },
    "split": {
        "kind": "grouped",
        "folds": 1,
        "repeats": 1,
        "train": [40],
        "val": [20],
        "digest": "d2",
    },
    "backbones": {"text": "tiny"},
    "random_backbones": ["text"],
    "backbone_fingerprints": {"text": "d3"},
    "parameters": {"total": 9, "trainable": 3},
    "notes": ["naïve"],
    "hardware": HARDWARE,
    "precision": {
        "training": "bfloat16",
        "activations": "float32",
        "speedup": 2.5,
        "activations_speedup": 3.5,
    },
    "versions": {"python": "3.11.7"},
    "code": CODE,
    "started": "2026-11-26T18:29:36+00:00",
    "activations": [
        {"node": 0, "role": "text", "done": 62, "total": 62, "seconds": 0.5, "cached": False}
    ],
    "attempts": [
        {
            "started": "2026-11-26T18:29:36+00:00",
            "hardware": HARDWARE,
            "versions": {"python": "3.11.7"},
            "code": CODE,
            "trials": 6,
        }
    ],
    "packing": {"peak_memory_mb": 1120.0, "gpu_memory_mb": 8000.0, "trials_per_gpu": 4},
}
WHOLE: dict[type, dict[str, Any]] = {Search: SEARCH, Best: BEST}
"""Every key that a search writes."""


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_is_written_as_it_was_read_to_the_byte(tmp_path: Path, kind: type) -> None:
    folder = RunFolder(tmp_path)
    path, write, read = {
        Search: (folder.search, folder.write_search, folder.read_search),
        Best: (folder.best, folder.write_best, folder.read_best),
    }[kind]
    write(from_json(kind, WHOLE[kind]))
    first = path.read_bytes()
    assert json.loads(first) == WHOLE[kind]
    assert list(json.loads(first)) == list(WHOLE[kind])
    write(read())
    assert path.read_bytes() == first


def test_what_no_stage_has_found_yet_is_left_out() -> None:
    later = ("confirmed", "candidates", "comparison", "decision", "floor", "verdict", "final")
    searched = {key: value for key, value in BEST.items() if key not in later}
    assert to_json(best_of(**searched)) == searched
    chosen = best_of(**searched | {"verdict": "it beats all"})
    assert {key for key in later if key not in to_json(chosen)} == {"final"}
    bare = {key: value for key, value in BEST["floor"].items() if key != "hand_tuned"}
    assert to_json(best_of(**BEST | {"floor": bare}))["floor"] == bare


def test_what_a_later_version_has_added_is_ignored(tmp_path: Path) -> None:
    record = deepcopy(BEST) | {"mood": "good"}
    record["confirmed"]["mood"] = "better"
    assert read_record(tmp_path / "best.json", record, Best) == from_json(Best, BEST)


def test_the_settings_are_kept_whole() -> None:
    search = from_json(Search, SEARCH)
    assert search.settings.tuning.epochs == 5
    assert search.settings.everything == SEARCH["settings"]
    changed = replace(search, name="other")
    assert to_json(changed)["settings"] == SEARCH["settings"]


@pytest.mark.parametrize(("kind", "least"), [(Search, SEARCHED), (Best, CHOSEN)])
def test_the_least_that_a_file_holds_is_enough(
    tmp_path: Path, kind: type, least: dict[str, Any]
) -> None:
    assert read_record(tmp_path, least, kind) == from_json(kind, least)


Place = tuple[type, tuple[str | int, ...], Any, bool]


def places(kind: type, record: Any, at: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Each field of a record and of those inside it: owner, path in the JSON, type, required."""
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        if each.metadata.get("whole"):
            continue
        path = (*at, each.metadata.get("key") or each.name)
        needed = each.default is MISSING and each.default_factory is MISSING
        yield kind, path, hints[each.name], needed
        inner, value = hints[each.name], record[path[-1]]
        if get_origin(inner) is UnionType or type(None) in get_args(inner):
            inner = next(one for one in get_args(inner) if one is not type(None))
        if is_dataclass(inner):
            yield from places(inner, value, path)  # type: ignore[arg-type]
        elif get_origin(inner) is tuple and is_dataclass(get_args(inner)[0]):
            yield from places(get_args(inner)[0], value[0], (*path, 0))


PLACES = [(kind, *place) for kind, record in WHOLE.items() for place in places(kind, record)]


def named(place: Any) -> str:
    return f"{place[0].__name__}-{'.'.join(map(str, place[2]))}"


def refused(tmp_path: Path, kind: type, record: Any) -> str:
    folder = RunFolder(tmp_path)
    path = folder.search if kind is Search else folder.best
    with pytest.raises(DamageError) as caught:
        read_record(path, record, kind)
    message = str(caught.value)
    assert message.startswith(f"{path} must be as a search wrote it, got ")
    assert "\n" not in message
    helps = {Search: "; put back a copy of it", Best: "--resume"}
    assert helps[kind] in message
    return message


def without(record: Any, path: tuple[str | int, ...]) -> Any:
    record = deepcopy(record)
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return record


def changed(record: Any, path: tuple[str | int, ...], value: Any) -> Any:
    record = deepcopy(record)
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return record


@pytest.mark.parametrize("place", [p for p in PLACES if p[4]], ids=named)
def test_a_key_that_must_be_there_is_missed(tmp_path: Path, place: Any) -> None:
    kind, _, path, *_ = place
    message = refused(tmp_path, kind, without(WHOLE[kind], path))
    assert f"'{path[-1]}' is a required property" in message


@pytest.mark.parametrize("place", [p for p in PLACES if not p[4]], ids=named)
def test_a_key_that_may_be_missing_is_not_missed(tmp_path: Path, place: Any) -> None:
    kind, _, path, *_ = place
    record = without(WHOLE[kind], path)
    assert read_record(tmp_path / "any.json", record, kind) == from_json(kind, record)


@pytest.mark.parametrize("place", PLACES, ids=named)
def test_a_value_of_another_type_is_refused_by_its_place(tmp_path: Path, place: Any) -> None:
    kind, _, path, hint, _ = place
    wrong = 7 if holds(hint, str, Mapping, tuple) else "seven"
    message = refused(tmp_path, kind, changed(WHOLE[kind], path, wrong))
    assert str(path[-1]) in message


def holds(hint: Any, *kinds: Any) -> bool:
    return (
        hint in kinds
        or get_origin(hint) in kinds
        or is_dataclass(hint)
        or any(holds(each, *kinds) for each in get_args(hint) if get_origin(hint) not in kinds)
    )


@pytest.mark.parametrize(
    ("kind", "path", "wrong"),
    [
        (Search, ("objective",), "weighted_f1"),
        (Search, ("mode",), "most"),
        (Search, ("grace_epochs",), 0),
        (Search, ("settings", "tuning", "reduction_factor"), 1),
        (Search, ("data", "labelled"), -1),
        (Search, ("split", "val"), [2**60]),
        (Best, ("confirmed", "interval"), [0.1]),
        (Best, ("decision", "rule"), "guess"),
        (Best, ("scores",), {METRIC: "high"}),
        (Best, ("trial",), True),
    ],
)
def test_a_value_that_no_search_writes_is_refused(
    tmp_path: Path, kind: type, path: tuple[str, ...], wrong: Any
) -> None:
    assert ".".join(path) in refused(tmp_path, kind, changed(WHOLE[kind], path, wrong))


def test_stages_come_back_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_stages() == {}
    stages = {"ship": Stage(depends_on={"trial": 1}, result=BEST)}
    folder.write_stages(stages)
    assert folder.read_stages() == stages
    folder.stages.write_text('{"ship": {"depends_on": {}}}')
    (tmp_path / "digests.csv").unlink(missing_ok=True)
    with pytest.raises(DamageError, match=r"got ship: 'result' is a required property"):
        folder.read_stages()


def test_a_run_of_a_search_is_read_and_written_again_alike(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    kept = json.loads(folder.best.read_text())
    assert to_json(folder.read_best()) == kept
