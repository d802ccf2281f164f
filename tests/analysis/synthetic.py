"""Run folders as a search writes them, of made-up trials: through the same writers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from analysis.run_folder.folder import RunFolder
from tests.records import write_best, write_search
from trainables.evaluation.calibration import log_losses
from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.decision import decide
from trainables.evaluation.scores import classification_scores

if TYPE_CHECKING:
    from pathlib import Path

METRIC = "val_weighted_f1"
SEARCHED: dict[str, Any] = {
    "model": "early_fusion",
    "objective": METRIC,
    "mode": "max",
    "data": {
        "name": "made up",
        "is_demo": False,
        "digest": "d1",
        "labelled": 60,
        "unlabelled": 2,
        "classes": dict.fromkeys(SENTIMENTS.names, 20),
    },
    "split": {"kind": "grouped", "folds": 1, "repeats": 1, "train": [40], "val": [20]},
}
"""The least that a `search.json` holds."""
CHOSEN: dict[str, Any] = {
    "trial": 0,
    "best_epoch": 1,
    "score": 0.5,
    "scores": {METRIC: 0.5},
    "params": {},
    "why": "the best",
}
"""The least that a `best.json` holds."""
DISTRIBUTIONS = {
    "head_learning_rate": FloatDistribution(1e-4, 1, log=True),
    "head_dropout": FloatDistribution(0.1, 1),
    "schedule": CategoricalDistribution(["cosine", "plateau"]),
    "text_unfrozen_layers": IntDistribution(0, 2),
    "neutral_threshold": CategoricalDistribution([0.35]),
}


def write_run(
    path: Path,
    *,
    trials: int = 6,
    epochs: int = 4,
    samples: int = 60,
    folds: int = 3,
    seed: int = 0,
    skill: float = 1.5,
    classes: Classes = SENTIMENTS,
    **search: Any,
) -> RunFolder:
    """Write a search of `trials` trials: a third run their course, the rest stop early.

    Trial `t` draws its probabilities from a classifier of skill `skill * rate`, so the scores,
    the tables and the probabilities of a trial tell the same story.
    """
    random = np.random.default_rng(seed)
    folder = RunFolder(path)
    labels = np.arange(samples) % len(classes)
    if classes == SENTIMENTS:
        labels = np.arange(samples) % 10 // 6 + np.arange(samples) % 10 // 7  # 6 : 1 : 3
    counts = dict(zip(classes.names, np.bincount(labels).tolist(), strict=True))
    _write_search(folder, counts, folds, trials, epochs, search)
    _write_samples(folder, [classes.names[label] for label in labels])
    rows, history = [], []
    for number in range(trials):
        rate = 0.5 if number == 0 else float(random.uniform(0.1, 1))
        params = {"head_learning_rate": 10 ** -(1 + 3 * rate), "head_dropout": rate}
        params |= {"schedule": "cosine" if random.random() < 0.5 else "plateau"}
        params |= {"text_unfrozen_layers": int(random.integers(3)), "neutral_threshold": 0.35}
        stopped = number % 3 == 2
        length = max(1, epochs // 3) if stopped else epochs
        probabilities = _probabilities(labels, skill * rate, random, len(classes))
        scores = _scores(labels, probabilities, classes)
        story = [_on_the_way(scores, epoch / length) for epoch in range(1, length + 1)]
        for epoch, scores in enumerate(story, 1):
            history.append({"trial": number, "epoch": epoch, **_counts(number), **scores})
        best = int(np.argmax([scores[METRIC] for scores in story]))
        rows.append(
            {
                "trial": number,
                "fate": "stopped" if stopped else "finished",
                "objective": story[best][METRIC],
                "best_epoch": best + 1,
                "epochs": length,
                "seconds": 2.5 * length,
                "hand_tuned": number == 0,
                "error": "",
                **{f"config/{name}": value for name, value in params.items()},
            }
        )
        folder.write_trial_probabilities(number, np.arange(samples), probabilities)
    folder.write_trials(pd.DataFrame(rows))
    folder.write_history(pd.DataFrame(history))
    folder.write_importances(
        pd.DataFrame({"parameter": ["head_dropout", "schedule"], "importance": [0.75, 0.25]})
    )
    _write_study(folder, rows)
    _write_best(folder, rows, history)
    folder.write_predictions(["900", "901"], [classes.names[0], classes.names[-1]])
    return folder


def _write_search(
    folder: RunFolder,
    counts: dict[str, int],
    folds: int,
    trials: int,
    epochs: int,
    search: dict[str, Any],
) -> None:
    count = sum(counts.values())
    parts = [len(part) for part in np.array_split(np.arange(count), folds)]
    record: dict[str, Any] = {
        "model": "early_fusion",
        "objective": METRIC,
        "mode": "max",
        "command": f"python -m search.run --model early_fusion --trials {trials}",
        "settings": {
            "trials": trials,
            "seed": 0,
            "tuning": {"epochs": epochs, "reduction_factor": 3.0},
        },
        "grace_epochs": max(1, epochs // 3),
        "data": {
            "name": "made up",
            "is_demo": False,
            "digest": "d1",
            "labelled": count,
            "unlabelled": 2,
            "classes": counts,
        },
        "split": {
            "kind": "grouped",
            "folds": folds,
            "repeats": 1,
            "train": [count - part for part in parts],
            "val": parts,
        },
        "backbones": {"text": "weights/text", "image": "weights/image"},
        "random_backbones": [],
        "notes": [],
        "hardware": {"machines": 1, "cpus": 2, "gpus": 0, "slots": 2, "system": "Linux x86_64"},
        "versions": {"python": "3.11.2", "torch": "2.11.0"},
        "code": {"commit": "0" * 40, "changed": False},
    }
    write_search(folder, record | search)


def _write_samples(folder: RunFolder, tags: list[str]) -> None:
    count = len(tags)
    folder.write_samples(
        pd.DataFrame(
            {
                "guid": [f"{index:03d}" for index in range(count)] + ["900", "901"],
                "tag": [*tags, None, None],
                "text": [f"what a day {index // 2}" for index in range(count)] + ["x", "y"],
                "image": [str(folder.path / f"{index}.jpg") for index in range(count + 2)],
                "group": [index // 2 * 2 for index in range(count)] + [count, count + 1],
            }
        )
    )


def _probabilities(
    labels: np.ndarray, skill: float, random: np.random.Generator, classes: int
) -> np.ndarray:
    logits = random.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += skill
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def _scores(labels: np.ndarray, probabilities: np.ndarray, classes: Classes) -> dict[str, float]:
    scores = classification_scores(labels, decide(probabilities, 0.35, classes=classes), classes)
    return scores | {"loss": float(log_losses(labels, probabilities).mean())}


def _on_the_way(scores: dict[str, float], share: float) -> dict[str, float]:
    """Scores after a share of a trial's epochs, the last of which come to `scores`."""
    values = {name: value * (0.7 + 0.3 * share) for name, value in scores.items()}
    values["loss"] = scores["loss"] / (0.5 + share / 2)
    found = {f"val_{name}": value for name, value in values.items()}
    found |= {f"val_{name}_std": 0.01 for name in values}
    return {"train_loss": values["loss"] * 0.9, **found}


def _counts(number: int) -> dict[str, float]:
    return {
        "total_parameters": 1_000_000,
        "trainable_parameters": 10_000 + number,
        "epoch_seconds": 2.0,
        "peak_memory_mb": 512.0,
    }


def _write_study(folder: RunFolder, rows: list[dict[str, Any]]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder.study)))
    study = optuna.create_study(storage=storage, study_name="made up", direction="maximize")
    start = datetime(2026, 11, 24, 12, tzinfo=UTC).replace(tzinfo=None)
    trials = []
    for row in rows:
        begun = start + timedelta(seconds=10 * (row["trial"] // 2))
        finished = row["fate"] == "finished"
        trials.append(
            FrozenTrial(
                number=row["trial"],
                state=TrialState.COMPLETE if finished else TrialState.PRUNED,
                value=row["objective"] if finished else None,
                datetime_start=begun,
                datetime_complete=begun + timedelta(seconds=row["seconds"]),
                params={name: row[f"config/{name}"] for name in DISTRIBUTIONS},
                distributions=dict(DISTRIBUTIONS),
                user_attrs={},
                system_attrs={},
                intermediate_values={},
                trial_id=row["trial"],
            )
        )
    study.add_trials(trials)


def _write_best(
    folder: RunFolder, rows: list[dict[str, Any]], history: list[dict[str, Any]]
) -> None:
    def told(row: dict[str, Any]) -> dict[str, Any]:
        epoch = next(
            e for e in history if (e["trial"], e["epoch"]) == (row["trial"], row["best_epoch"])
        )
        scores = {name: value for name, value in epoch.items() if "val_" in name}
        return {
            "trial": row["trial"],
            "fate": row["fate"],
            "best_epoch": row["best_epoch"],
            "score": row["objective"],
            "scores": scores,
        }

    finished = [row for row in rows if row["fate"] == "finished"]
    best = max(finished, key=lambda row: row["objective"])
    params = {k.removeprefix("config/"): v for k, v in best.items() if k.startswith("config/")}
    write_best(
        folder,
        {
            "objective": METRIC,
            "mode": "max",
            **told(best),
            "params": params,
            "why": f"the best score among the {len(finished)} trials that ran their course",
            "hand_tuned": told(rows[0]),
        },
    )
