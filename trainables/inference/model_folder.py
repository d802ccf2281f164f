"""Write a trained model to disk.

A model folder is self-contained: each tower in its library's own format, the trained classifiers,
and a config. No path in it leads outside, so it predicts the same wherever it is copied.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors.torch import save_file

from trainables.inference.about import (
    CONFIG,
    DIGESTS,
    FORMAT,
    classes_record,
    classifier_file,
    rule_record,
)
from trainables.inference.integrity import model_digests
from trainables.variants.lazy_towers import modality_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainables.config import InputSettings
    from trainables.evaluation.decision import DecisionRule
    from trainables.modules.heads.classifier import Classifier
    from trainables.variants.lazy_towers import LazyTowers
    from trainables.variants.towers import TowersConfig
    from trainables.variants.variant import MemberKind, Variant


class Member(NamedTuple):
    """One trained classifier of a model.

    Attributes:
        config: Its hyperparameters.
        classifier: The module.
        weight: Its weight in the average of probabilities, > 0, relative to the others.
        kind: As in `Variant.build`.
    """

    config: TowersConfig
    classifier: Classifier
    weight: float = 1.0
    kind: MemberKind = "trained"


def save_model(
    folder: Path,
    variant: Variant[Any],
    inputs: InputSettings,
    towers: LazyTowers,
    members: Sequence[Member],
    rule: DecisionRule,
) -> None:
    """Write a trained model.

    Args:
        folder: Where to; created if missing.
        variant: The variant of the model.
        inputs: How its inputs are preprocessed.
        towers: The towers, including those that feed its members.
        members: At least one.
        rule: How it decides, and on which classes.
    """
    # One backbone may hold both towers; what no member reads is left out.
    read = dict.fromkeys(name for member in members for name in member.classifier.towers)
    backbones = {towers.backbone_of(name): towers[name] for name in towers if name in read}
    for name, tower in backbones.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        tower.save(folder / name)
    for number, member in enumerate(members, 1):
        state = member.classifier.state_dict()
        state = {name: value.cpu().contiguous() for name, value in state.items()}
        save_file(state, folder / classifier_file(number))
    about: dict[str, Any] = {
        "format": FORMAT,
        "variant": variant.name,
        "modality": modality_of(towers),
        **classes_record(rule.classes),
        "members": [
            {"kind": m.kind, "config": asdict(m.config), "weight": m.weight} for m in members
        ],
        "inputs": asdict(inputs),
        "decision": rule_record(rule),
        "random_backbones": [name for name, tower in backbones.items() if tower.is_random],
    }
    about = json.loads(json.dumps(about))  # equal to what is read back
    about[DIGESTS] = model_digests(folder, about)
    (folder / CONFIG).write_text(json.dumps(about, indent=2) + "\n")
