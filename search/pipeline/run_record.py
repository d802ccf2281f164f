"""The provenance of a search's numbers: code, versions, data and machines, for `search.json`."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from dataclasses import asdict, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.records import from_json
from analysis.run_folder.search_record import (
    GIVEN,
    ActivationBuild,
    Attempt,
    Code,
    Data,
    Hardware,
    Precision,
    Search,
    Settings,
    Split,
)
from search.config.command import command_line
from search.config.serialization import plain
from search.errors import SettingsError
from trainables.data.splits import duplicate_groups
from trainables.evaluation.classes import classes_named
from trainables.evaluation.metrics import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from search.cluster.resources import Node, TrialResources
    from search.config.plan import Plan
    from search.config.settings import DataSettings
    from trainables.data.sample import Corpus, Fold
    from trainables.experiment import Experiment


_PACKAGES = ("torch", "torchvision", "transformers", "ray", "optuna", "pandas", "scikit-learn")


def search_record(
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    hardware: Hardware,
    backbones: Mapping[str, Any],
    built: Sequence[ActivationBuild] = (),
) -> Search:
    """Make the content of `search.json`, of this attempt alone.

    Args:
        plan: The search.
        corpus: The data.
        folds: The splits.
        hardware: From `hardware_record`.
        backbones: From `search.cluster.activations.describe`.
        built: How the frozen activations were built.

    Returns:
        The record.
    """
    settings = plan.settings
    attempt = Attempt(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        hardware=hardware,
        versions={"python": platform.python_version(), **_versions()},
        code=_git_state(Path(__file__).parent),
        trials=settings.trials,
    )
    return Search(
        model=settings.model,
        modality=settings.modality,
        objective=settings.tuning.metric,
        mode=mode_of(settings.tuning.metric),
        command=command_line(settings),
        name=plan.name,
        settings=from_json(Settings, plain(settings)),
        space={
            "fixed": plan.overrides.fixed,
            "ranges": plan.overrides.ranges,
            "choices": plan.overrides.choices,
        },
        hand_tuned=plan.hand_tuned,
        grace_epochs=plan.grace_epochs,
        inputs=asdict(plan.inputs),
        data=data_record(corpus),
        split=split_record(settings.data, corpus, folds),
        backbones=plan.backbones,
        random_backbones=tuple(backbones.get("random_backbones", ())),
        backbone_fingerprints=backbones.get("fingerprints", {}),
        parameters=backbones.get("parameters", {}),
        notes=(*corpus.notes, *backbones.get("notes", ())),
        hardware=hardware,
        precision=Precision(
            training=backbones.get("precision", "auto"),
            activations=backbones.get("frozen_precision", "float32"),
            speedup=backbones.get("speedup"),
            activations_speedup=backbones.get("frozen_speedup"),
        ),
        versions=attempt.versions,
        code=attempt.code,
        started=attempt.started,
        activations=tuple(built),
        attempts=(attempt,),
    )


def samples_table(corpus: Corpus) -> pd.DataFrame:
    """Make the content of `samples.parquet`."""
    samples, names = corpus.samples, corpus.classes.names
    sizes = [sample.image_size for sample in samples]
    return pd.DataFrame(
        {
            "guid": [sample.guid for sample in samples],
            "tag": [None if s.label is None else names[s.label] for s in samples],
            "text": [sample.text for sample in samples],
            "image": [str(sample.image or "") for sample in samples],
            "width": pd.array([size[0] if size else None for size in sizes], "Int64"),
            "height": pd.array([size[1] if size else None for size in sizes], "Int64"),
            "group": duplicate_groups(samples),
        }
    )


def hardware_record(nodes: Sequence[Node], resources: TrialResources) -> Hardware:
    """Record the totals of a cluster and the share of one trial."""
    return Hardware(
        machines=len(nodes),
        cpus=sum(node.cpus for node in nodes),
        gpus=sum(node.gpus for node in nodes),
        cpus_per_trial=resources.cpus,
        gpus_per_trial=resources.gpus,
        slots=resources.slots,
        system=f"{platform.system()} {platform.machine()}",
    )


def in_precision(experiment: Experiment, backbones: Mapping[str, Any]) -> Experiment:
    """Return the experiment in the precision that was chosen when the backbones were described.

    It is the same object where that is what it computes in anyway: a changed experiment is another
    one to the processes that keep it.
    """
    chosen = {name: backbones[name] for name in ("precision", "frozen_precision")}
    # `auto` is float32 on a CPU until it is chosen.
    if all(value in {getattr(experiment, name), "float32"} for name, value in chosen.items()):
        return experiment
    return replace(experiment, **chosen)


def kept_precision(experiment: Experiment, before: Search) -> Experiment:
    """Return the experiment in the precision of the search that it goes on with."""
    kept = before.precision
    return replace(experiment, precision=kept.training, frozen_precision=kept.activations)


def precision_notes(backbones: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what is computed in fewer bits, if that was chosen because it is faster."""
    chosen = [
        f"{what} in {precision}, {speedup:.1f} times as fast as float32 here"
        for what, precision, speedup in (
            ("runs frozen layers", backbones["frozen_precision"], backbones["frozen_speedup"]),
            ("trains", backbones["precision"], backbones["speedup"]),
        )
        if speedup is not None and precision != "float32"
    ]
    return (f"{'; '.join(chosen)} (--precision float32 keeps all digits)",) if chosen else ()


def split_record(data: DataSettings, corpus: Corpus, folds: Sequence[Fold]) -> Split:
    """Record the kind of split, how many samples are in each fold, and a digest of which."""
    digest = hashlib.sha256()
    for fold in folds:
        digest.update(fold.train.astype("<i8").tobytes())
        digest.update(fold.val.astype("<i8").tobytes())
    return Split(
        kind=data.split if corpus.given_folds is None else GIVEN,
        folds=len(folds) // data.repeats,
        repeats=data.repeats,
        train=tuple(len(fold.train) for fold in folds),
        val=tuple(len(fold.val) for fold in folds),
        digest=digest.hexdigest()[:16],
    )


def data_record(corpus: Corpus) -> Data:
    """Record name, digest, counts and encoding of the data."""
    classes = corpus.classes
    counts = np.bincount(corpus.labels, minlength=len(classes))
    is_usual = classes == classes_named(classes.names)
    return Data(
        name=corpus.name,
        is_demo=corpus.is_demo,
        digest=corpus.digest,
        encoding=corpus.encoding,
        labelled=len(corpus.labelled),
        unlabelled=len(corpus.unlabelled),
        held_out=len(corpus.tested),
        classes={tag: int(count) for tag, count in zip(classes.names, counts, strict=True)},
        fallback_class=None if is_usual else classes.fallback_name,
        missing=corpus.missing,
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in ("multimodal-sentiment-search", *_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git_state(folder: Path) -> Code | None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return Code(commit=git("rev-parse", "HEAD"), changed=bool(git("status", "--porcelain")))
    except (OSError, subprocess.CalledProcessError):
        return None  # installed without its repository


def refuse_other_data(
    before: Search, asked: DataSettings, corpus: Corpus, folds: Sequence[Fold]
) -> None:
    """Refuse to resume a search on other data than it began with.

    Raises:
        SettingsError: If the data or the splits differ.
    """
    now, then = data_record(corpus), before.data
    if now.digest != then.digest:
        msg = (
            f"--data must be those that the search was begun with, {then.labelled:,} labelled"
            f" and {then.unlabelled:,} to predict with digest {then.digest}, got"
            f" {now.labelled:,} and {now.unlabelled:,} with digest {now.digest}"
        )
        raise SettingsError(msg)
    if split_record(asked, corpus, folds) != before.split:
        msg = "the split must be the one that the search was begun with, got another"
        raise SettingsError(msg)


def refuse_other_backbones(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuse to resume a search with other backbones, by fingerprint, than it began with.

    Raises:
        SettingsError: If those of a role differ.
    """
    faults = [
        f"--backbone {role.replace('/', ' ')} must be what the search was begun with (weights,"
        " config, tokenizer, preprocessor), got another"
        for role, fingerprint in now.items()
        if then.get(role, fingerprint) != fingerprint
    ]
    if faults:
        raise SettingsError("\n".join(faults))
