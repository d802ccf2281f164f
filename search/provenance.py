"""Where a search's numbers come from: code, versions, data and machines, as `search.json` says."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.study_storage import NAME
from search.command import command_line
from search.stored import plain
from trainables.data.sample import TAGS
from trainables.data.splits import duplicate_groups
from trainables.objective import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from search.cluster import Node, TrialResources
    from search.plan import Plan
    from search.settings import DataSettings
    from trainables.data.sample import Corpus, Fold

_PACKAGES = ("torch", "torchvision", "transformers", "ray", "optuna", "pandas", "scikit-learn")


def search_record(
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    hardware: Mapping[str, Any],
    backbones: Mapping[str, Any],
) -> dict[str, Any]:
    """Say what is searched, on what, with what.

    Args:
        plan: The search.
        corpus: The data.
        folds: The splits.
        hardware: What `hardware_record` says.
        backbones: What the cluster said of the backbones: random ones, fingerprints, parameters.

    Returns:
        The content of `search.json`.
    """
    tuning = plan.settings.tuning
    return {
        "model": plan.variant.name,
        "modality": plan.settings.modality,
        "objective": tuning.metric,
        "mode": mode_of(tuning.metric),
        "command": command_line(plan.settings),
        NAME: plan.name,
        "settings": plain(plan.settings),
        "space": {"fixed": dict(plan.space.fixed), "ranges": dict(plan.space.ranges)},
        "hand_tuned": dict(plan.hand_tuned),
        "grace_epochs": plan.grace_epochs,
        "inputs": asdict(plan.inputs),
        "data": data_record(corpus),
        "split": split_record(plan.settings.data, folds),
        "backbones": dict(plan.backbones),
        "random_backbones": list(backbones.get("random_backbones", [])),
        "backbone_fingerprints": dict(backbones.get("fingerprints", {})),
        "parameters": dict(backbones.get("parameters", {})),
        "notes": [*corpus.notes, *backbones.get("notes", [])],
        "hardware": dict(hardware),
        "versions": {"python": platform.python_version(), **_versions()},
        "code": _git_state(Path(__file__).parent),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def samples_table(corpus: Corpus) -> pd.DataFrame:
    """Say what is learnt from and what is to be predicted, for whoever looks at results.

    Args:
        corpus: The data.

    Returns:
        The content of `samples.parquet`.
    """
    samples = corpus.samples
    sizes = [sample.image_size for sample in samples]
    return pd.DataFrame(
        {
            "guid": [sample.guid for sample in samples],
            "tag": [None if sample.label is None else sample.label.tag for sample in samples],
            "text": [sample.text for sample in samples],
            "image": [str(sample.image or "") for sample in samples],
            "width": pd.array([size[0] if size else None for size in sizes], "Int64"),
            "height": pd.array([size[1] if size else None for size in sizes], "Int64"),
            "group": duplicate_groups(samples),
        }
    )


def hardware_record(nodes: Sequence[Node], resources: TrialResources) -> dict[str, Any]:
    """Say what a search runs on.

    Args:
        nodes: The machines.
        resources: What one trial gets.

    Returns:
        Totals, and the share of one trial.
    """
    return {
        "machines": len(nodes),
        "cpus": sum(node.cpus for node in nodes),
        "gpus": sum(node.gpus for node in nodes),
        "cpus_per_trial": resources.cpus,
        "gpus_per_trial": resources.gpus,
        "slots": resources.slots,
        "system": f"{platform.system()} {platform.machine()}",
    }


def split_record(data: DataSettings, folds: Sequence[Fold]) -> dict[str, Any]:
    """Say how it is parted.

    Args:
        data: What was asked.
        folds: What came of it.

    Returns:
        The kind of split, how many samples train and validate in each fold, and a digest of
        which they are.
    """
    digest = hashlib.sha256()
    for fold in folds:
        digest.update(fold.train.astype("<i8").tobytes())
        digest.update(fold.val.astype("<i8").tobytes())
    return {
        "kind": data.split,
        "folds": data.folds,
        "repeats": data.repeats,
        "train": [len(fold.train) for fold in folds],
        "val": [len(fold.val) for fold in folds],
        "digest": digest.hexdigest()[:16],
    }


def data_record(corpus: Corpus) -> dict[str, Any]:
    """Say what is learnt from.

    Args:
        corpus: The data.

    Returns:
        Its name, digest, the encoding of texts that are no UTF-8, and counts.
    """
    counts = np.bincount(corpus.labels, minlength=len(TAGS))
    return {
        "name": corpus.name,
        "is_demo": corpus.is_demo,
        "digest": corpus.digest,
        "encoding": corpus.encoding,
        "labelled": len(corpus.labelled),
        "unlabelled": len(corpus.unlabelled),
        "classes": {tag: int(count) for tag, count in zip(TAGS, counts, strict=True)},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in ("multimodal-sentiment-search", *_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git_state(folder: Path) -> dict[str, Any] | None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None  # installed without its repository
