"""Searches of several models as they are after their end, of predictions made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.best_record import Final
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import write_json
from search.selection.choice import choose_config
from tests.analysis.synthetic import SEARCHED
from tests.records import write_search
from tests.search.selection.test_candidates import keyed, plan_of, record
from tests.search.selection.test_choice import LABELS, ROWS, frame_by_fold, history
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORDS = "--folds 3 --metric val_accuracy"
GUIDS = ["007", "8"]


def write_model(
    out: Path, model: str, rights: dict[int, Sequence[float]], shift: float = 0, **about: Any
) -> RunFolder:
    """Write a search whose configs are right in so many twelfths of each fold, and sure.

    Those are the first, or `shift` twelfths later. The model, too, is written in the folder: a
    stand-in that holds its name.
    """
    plan = plan_of(WORDS, out / model)
    folder = plan.folder
    search = SEARCHED | {"model": model, "objective": "val_accuracy", "settings": {"seed": 0}}
    search["split"] = {"kind": "grouped", "folds": 3, "train": [72, 84, 84], "val": [48, 36, 36]}
    write_search(folder, search | about)
    tags = [SENTIMENTS.names[label] for label in LABELS]
    samples = {"guid": "", "tag": tags, "text": "", "image": "", "group": ROWS}
    folder.write_samples(pd.DataFrame(samples))
    ended = {"fate": "finished", "objective": 0.5, "best_epoch": 1, "epochs": 1, "seconds": 1.0}
    trials = {"trial": list(rights), **ended, "hand_tuned": False}
    folder.write_trials(pd.DataFrame(trials))
    history(plan, *rights)
    records = [record(number, "finished", 0.5) for number in rights]
    for number, shares in rights.items():
        frame = frame_by_fold(shares, shift)
        folder.write_confirmation(number, frame)
    choose_config(plan, keyed(*records), LABELS, records)
    final = Final(kind="refit", why="asked for", epochs=1, parameters=9)
    folder.write_best(replace(folder.read_best(), final=final))
    folder.model.mkdir()
    (folder.model / "config.json").write_text(model)
    (folder.model / "README.md").write_text(f"# {model}\n\n## Scores\n\n## Limits\n\n- some\n")
    folder.write_predictions(GUIDS, ["positive", model])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], np.float32)
    folder.write_probabilities(GUIDS, probabilities, SENTIMENTS)
    for trial in rights:
        folder.write_test_probabilities(trial, GUIDS, probabilities)
    return folder


def write_all(
    out: Path,
    rights: dict[str, dict[int, Sequence[float]]],
    shifts: dict[str, float] | None = None,
) -> RunFolder:
    """Write the searches of several models, and the record that they were searched together."""
    for model, own in rights.items():
        write_model(out, model, own, (shifts or {}).get(model, 0))
    folder = RunFolder(out)
    record = {"command": "python -m search.run --model all", "models": dict.fromkeys(rights)}
    write_json(folder.all_models, record)
    return folder
