"""The confirmed configs of several runs as one ensemble, and whether it is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.choice import Rule, by_others, choose_by_others
from analysis.confirmation import course_of
from analysis.ensembling import (
    ensemble_by_others,
    ensemble_threshold,
    members_of,
    select_greedily,
)
from analysis.files import write_json
from analysis.resampling import compare
from analysis.results import CLASSES, RunFolder
from analysis.scores import decide
from trainables.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from analysis.choice import Course

_ALIKE = ("objective", "data digest", "split", "folds", "repeats", "seed", "decision")


class JoiningError(ValueError):
    """Runs cannot be joined; the message lists every fault."""


@dataclass(frozen=True)
class Joined:
    """An ensemble of configs.

    Attributes:
        record: `members` with their scores and shares, nested scores, `preferred` and `verdict`.
        guids: Names of the pairs to predict, in the order of their list.
        probabilities: What it says of them, shape (U, C).
        tags: What it decides.
    """

    record: dict[str, Any]
    guids: list[str]
    probabilities: NDArray[np.float32]
    tags: list[str]

    def write(self, out: Path) -> None:
        """Write `predictions.csv`, `probabilities.csv` and `ensemble.json`.

        Args:
            out: The folder; made when missing.
        """
        folder = RunFolder(out)
        folder.write_predictions(self.guids, self.tags)
        folder.write_probabilities(self.guids, self.probabilities)
        write_json(out / "ensemble.json", self.record)


def join_runs(paths: Sequence[Path]) -> Joined:
    """Select an ensemble from all confirmed configs of some runs.

    Args:
        paths: Run folders.

    Returns:
        The ensemble.

    Raises:
        JoiningError: If the runs are not of the same data, objective and folds, or confirmed
            nothing.
    """
    folders = [RunFolder(path.absolute()) for path in paths]
    searches = [folder.read_search() for folder in folders]
    bests = [folder.read_best() for folder in folders]
    faults = list(_faults(folders, searches, bests))
    if faults:
        raise JoiningError("\n".join(faults))
    names, courses, said = [], [], []
    labels, groups = _samples(folders[0])
    for folder, best in zip(folders, bests, strict=True):
        table = folder.read_trials().set_index("trial")
        for one in best["candidates"]:
            number = one["trial"]
            names.append(f"trial {number} of {folder.path.name}")
            own, frame = _threshold(table.loc[number]), folder.read_courses(number)
            courses.append(course_of(frame, labels, neutral_threshold=own, groups=groups))
            said.append(folder.read_test_probabilities(number))
    objective, sign = bests[0]["objective"], 1 if bests[0]["mode"] == "max" else -1
    rule = Rule(objective.removeprefix("val_"), sign, _decision(searches[0]))
    members = members_of(courses, rule)
    weights = select_greedily(members)
    threshold = ensemble_threshold(members, weights, rule)
    record = _record(rule, courses, names, weights)
    record |= {"decision": rule.decision, "neutral_threshold": threshold}
    mean = np.tensordot(weights, [each[list(CLASSES)].to_numpy() for each in said], axes=1)
    decided = decide(mean, threshold)
    return Joined(
        record, said[0]["guid"].tolist(), mean.astype(np.float32), [CLASSES[c] for c in decided]
    )


def _faults(
    folders: Sequence[RunFolder], searches: Sequence[dict[str, Any]], bests: Sequence[Any]
) -> Any:
    for folder, best in zip(folders, bests, strict=True):
        if not best.get("candidates"):
            yield f"{folder.path} must have confirmed configs, got none; search with --confirm"
    told = [_identity(search) for search in searches]
    for folder, one in zip(folders[1:], told[1:], strict=True):
        other = [name for name, a, b in zip(_ALIKE, told[0], one, strict=True) if a != b]
        if other:
            yield f"{folder.path} must be of the same {', '.join(other)} as {folders[0].path}"


def _identity(search: dict[str, Any]) -> tuple[Any, ...]:
    split = search["split"]
    parts = split["kind"], split["folds"], split.get("repeats", 1)
    settings = search["settings"]
    return (
        search["objective"],
        search["data"]["digest"],
        *parts,
        settings["seed"],
        _decision(search),
    )


def _decision(search: dict[str, Any]) -> str:
    return str(search["settings"].get("selection", {}).get("decision", "searched"))


def _threshold(trial: pd.Series[Any]) -> float:
    value = trial.get("config/neutral_threshold", np.nan)
    return float(TrainConfig.neutral_threshold if pd.isna(value) else value)


def _samples(folder: RunFolder) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Classes of the labelled samples, and their groups of duplicates where they were kept."""
    samples = folder.read_samples()
    samples = samples[samples["tag"].notna()]
    groups = samples["group"].to_numpy(np.int64) if "group" in samples else None
    return samples["tag"].map(CLASSES.index).to_numpy(np.int64), groups


def _record(
    rule: Rule, courses: Sequence[Course], names: Sequence[str], weights: NDArray[np.float64]
) -> dict[str, Any]:
    name = rule.score
    ensemble = ensemble_by_others(courses, rule)
    single = choose_by_others(courses, rule).validated
    found = compare(name, ensemble, single)
    preferred = rule.sign * found.difference > 0 and (weights > 0).sum() > 1
    scores = [by_others(course, rule).validated.score(name) for course in courses]
    low, high = found.interval
    verdict = (
        f"nested validation {'prefers' if preferred else 'does not prefer'} the ensemble:"
        f" val_{name} {ensemble.score(name):.4f} against {single.score(name):.4f} of choosing one"
        f" config (difference {found.difference:+.4f}, 95 % interval {low:+.4f} to"
        f" {high:+.4f}, p {found.p_value:.2f}; the interval covers {ensemble.covers})"
    )
    told = [
        {"name": which, "score": score, "weight": float(weight)}
        for which, score, weight in zip(names, scores, weights, strict=True)
    ]
    return {
        "objective": f"val_{name}",
        "members": told,
        "ensemble": ensemble.score(name),
        "single": single.score(name),
        "difference": found.difference,
        "interval": [low, high],
        "covers": ensemble.covers,
        "p_value": found.p_value,
        "preferred": bool(preferred),
        "verdict": verdict,
    }
