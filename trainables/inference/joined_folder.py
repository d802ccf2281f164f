"""One model folder of the members of several: their towers once each, and all their classifiers.

Only files are moved, so no torch is imported.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from trainables.inference.about import (
    CONFIG,
    DIGESTS,
    SEVERAL,
    ModelError,
    classes_record,
    classifier_file,
    members_in,
    read_about,
    rule_record,
)
from trainables.inference.integrity import model_digests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainables.evaluation.decision import DecisionRule


def join_models(parts: Sequence[Path], rule: DecisionRule, folder: Path) -> None:
    """Make one model of several, whose members' weights become relative to each other.

    Args:
        parts: The model folders, at least one, of one modality and on the same file system; their
            files are moved away. Backbones of the same name must be the same.
        rule: How the model decides; each member computes in the precision of its part.
        folder: Where the model is written; replaced when complete.

    Raises:
        ModelError: If two backbones of one name differ, or a part is no model.
    """
    abouts = [read_about(part) for part in parts]
    _refuse_other_towers(parts, abouts)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for part, about in zip(parts, abouts, strict=True):
        for name in _tower_files(about):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).replace(partial / name)
    members: list[dict[str, Any]] = []
    for part, about in zip(parts, abouts, strict=True):
        for number, entry in enumerate(members_in(about), 1):
            members.append(entry._asdict())
            (part / classifier_file(number)).rename(partial / classifier_file(len(members)))
    joined = {
        "format": SEVERAL,
        "modality": abouts[0]["modality"],
        **classes_record(rule.classes),
        "inputs": abouts[0]["inputs"],
        "members": members,
        "decision": rule_record(rule),
        "random_backbones": sorted({name for each in abouts for name in each["random_backbones"]}),
    }
    joined[DIGESTS] = model_digests(partial, joined)
    (partial / CONFIG).write_text(json.dumps(joined, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _tower_files(about: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of the files of backbones, each of which has a folder of its own."""
    return {name: digest for name, digest in about[DIGESTS].items() if "/" in name}


def _refuse_other_towers(parts: Sequence[Path], abouts: Sequence[Mapping[str, Any]]) -> None:
    known: dict[str, str] = {}
    for part, about in zip(parts, abouts, strict=True):
        for name, digest in _tower_files(about).items():
            if known.setdefault(name, digest) != digest:
                msg = f"models that are joined must have the same {name}, got others in {part}"
                raise ModelError(msg)
