"""Hostile run and model folders: sound ones, each with one thing that no command may take.

A stranger's folder has no digests of ours, or his own, so what is wrong is wrong in itself.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import tempfile
from contextlib import redirect_stderr
from functools import cache, partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.digests import NAME as DIGESTS
from tests.analysis.synthetic import write_run
from tests.conftest import NARROW, make_samples, tiny_experiment, train_final
from tests.hostile.case import Case
from tests.hostile.data import LFS, picture
from tests.records import read_best, write_best
from trainables.config import InputSettings
from trainables.data.sample import Corpus
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
PICKLE = pickle.dumps({"__reduce__": "os.system"})
_JOURNAL = "study.journal must be a journal of Optuna's"
_RECORD = "must be as a search wrote it"


@cache
def _sound_run() -> Path:
    folder = write_run(Path(tempfile.mkdtemp()) / "run", trials=3)
    best = read_best(folder)
    searched = {"searched": best["score"], "confirmed": 0.4, "spread": 0.01}
    candidates = [{**searched, "trial": trial, "interval": [0.3, 0.5]} for trial in (0, 1)]
    confirmed = {"score": 0.4, "interval": [0.3, 0.5], "scores": {"val_weighted_f1": 0.4}}
    decision = {"rule": "searched", "neutral_threshold": 0.35, "temperature": 1.0}
    more = {"candidates": candidates, "confirmed": confirmed, "decision": decision}
    write_best(folder, best | more)
    for trial in (0, 1):
        frame = folder.read_trial_probabilities(trial)
        places = {"repeat": 0, "fold": np.arange(len(frame)) // 20, "epoch": 1}
        folder.write_confirmation(trial, frame.assign(**places))
        said = np.full((2, len(SENTIMENTS.names)), 1 / 3, np.float32)
        folder.write_test_probabilities(trial, ["900", "901"], said)
    (folder.path / DIGESTS).unlink()
    return folder.path


@cache
def _sound_model() -> Path:
    home = Path(tempfile.mkdtemp())
    samples = make_samples(home, 30, labelled=True)
    unlabelled = make_samples(home, 2, labelled=False, first=30)
    corpus = Corpus("small", tuple(samples), tuple(unlabelled))
    inputs = InputSettings(image_size=32)
    experiment = tiny_experiment(
        corpus=corpus, inputs=inputs, metric="val_loss", max_epochs=1, seed=1
    )
    with redirect_stderr(StringIO()):  # what its libraries say meanwhile is no case's doing
        train_final(experiment, NARROW, 1, home / "model")
    return home / "model"


def run_with(spoil: Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    """A run folder, spoilt."""

    def make(folder: Path) -> Sequence[str]:
        spoil(shutil.copytree(_sound_run(), folder / "run"))
        return [str(folder / "run")]

    return make


def model_with(spoil: Callable[[Path], object]) -> Callable[[Path], Sequence[str]]:
    """A model folder without digests, spoilt, and a pair to ask it about."""

    def make(folder: Path) -> Sequence[str]:
        model = shutil.copytree(_sound_model(), folder / "model")
        change(model / "config.json", lambda about: about.pop("sha256"))
        spoil(model)
        (folder / "pair.jpg").write_bytes(picture())
        return [str(model), "--text", "what a day", "--image", str(folder / "pair.jpg")]

    return make


def change(path: Path, how: Callable[[Any], object]) -> None:
    """Change a JSON record in place."""
    record = json.loads(path.read_text())
    how(record)
    path.write_text(json.dumps(record))


def content(name: str, bytes_: bytes) -> Callable[[Path], object]:
    """Give a file another content."""
    return lambda folder: (folder / name).write_bytes(bytes_)


def instead(name: str, put: Callable[[Path], object]) -> Callable[[Path], object]:
    """Put something else in the place of a file or a folder."""

    def spoil(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        put(path)

    return spoil


def record(name: str, how: Callable[[Any], object]) -> Callable[[Path], object]:
    """Change a record."""
    return lambda folder: change(folder / name, how)


def table(name: str, how: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], object]:
    """Change a table, in its own format."""

    def spoil(folder: Path) -> None:
        path = folder / name
        if path.suffix == ".csv":
            how(pd.read_csv(path)).to_csv(path, index=False, lineterminator="\n")
        else:
            how(pd.read_parquet(path)).to_parquet(path, index=False)

    return spoil


def weights(name: str, how: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change a file of weights."""

    def spoil(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        state = load_file(folder / name)
        how(state)
        save_file(state, folder / name)

    return spoil


def _first_is_nan(state: dict[str, Any]) -> None:
    next(value for value in state.values() if value.size > 1).flat[0] = np.nan


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(80 << 20)


def _bomb() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}})
    return struct.pack("<Q", len(header)) + header.encode()


def _nothing() -> bytes:
    file = BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(file)
    return file.getvalue()


def _run(name: str, told: str, spoil: Callable[[Path], object], program: str = "report") -> Case:
    where = "search" if program == "ensemble" else "analysis"
    module = f"{where}.report.__main__" if program == "report" else f"{where}.{program}"
    return Case(f"run: {name}", told, run_with(spoil), module, (), "run")


def _model(name: str, told: str, spoil: Callable[[Path], object]) -> Case:
    return Case(f"model: {name}", told, model_with(spoil), "search.predict", ())


_SPLIT = partial(record, "search.json")
_BEST = partial(record, "best.json")
_EXPLAINED = content("explanations/index.json", DEEP)
_RUNS = (
    _run("JSON nested deep", "search.json must be JSON", content("search.json", DEEP)),
    _run("JSON of 80 MB", "must have up to 67,108,864 bytes", instead("search.json", _huge)),
    _run("JSON that is no text", "must be UTF-8 text", content("search.json", b"{\xff}")),
    _run("a number of 5,000 digits", "must be JSON", content("search.json", b"1" * 5000)),
    _run("a number beyond all", "the number 1e999", content("search.json", b'{"a": 1e999}')),
    _run("a record that is a list", "must hold a JSON object", content("search.json", b"[]")),
    _run("a named pipe", "search.json must be a file", instead("search.json", os.mkfifo)),
    _run(
        "a folder", "search.json must be a file, got a folder", instead("search.json", Path.mkdir)
    ),
    _run(
        "a link to /dev/zero",
        "search.json must be a file",
        instead("search.json", lambda path: path.symlink_to("/dev/zero")),
    ),
    _run(
        "a link to itself",
        "search.json cannot be read",
        instead("search.json", lambda path: path.symlink_to(path.name)),
    ),
    _run("no objective", "'objective' is a required", _SPLIT(lambda r: r.pop("objective"))),
    _run("words for counts", _RECORD, _SPLIT(lambda r: r["split"].update(val=["many"]))),
    _run(
        "rungs without an end",
        _RECORD,
        _SPLIT(lambda r: r["settings"]["tuning"].update(reduction_factor=1.0)),
    ),
    _run("a score of words", _RECORD, _BEST(lambda r: r.update(score="high"))),
    _run("another rule to decide by", _RECORD, _BEST(lambda r: r["decision"].update(rule="__"))),
    _run("candidates that are words", _RECORD, _BEST(lambda r: r.update(candidates="all"))),
    _run(
        "a pickle for a table of trials", "must be UTF-8 text", content("trials.csv", PICKLE * 9)
    ),
    _run("a Git LFS pointer for a table", "must have the columns", content("trials.csv", LFS)),
    _run(
        "an unknown fate",
        "must have fate among",
        table("trials.csv", lambda t: t.assign(fate="<script>")),
    ),
    _run(
        "trials twice", "one row for each trial", table("trials.csv", lambda t: t.assign(trial=1))
    ),
    _run(
        "words for numbers",
        "must hold what its columns say",
        table("trials.csv", lambda t: t.assign(objective="=1+1")),
    ),
    _run(
        "half a table", "torn last line", content("importances.csv", b"parameter,importance\na,1")
    ),
    _run("a pickle for samples", "must be a Parquet table", content("samples.parquet", PICKLE)),
    _run(
        "another table for samples",
        "must have the columns",
        content("samples.parquet", _nothing()),
    ),
    _run(
        "probabilities of samples that are not there",
        "must be of labelled samples",
        table("probabilities/0.parquet", lambda t: t.assign(row=10**12)),
    ),
    _run(
        "probabilities that are not finite",
        "must have probabilities in [0, 1]",
        table("probabilities/0.parquet", lambda t: t.assign(positive=np.float32("nan"))),
    ),
    _run(
        "folds beyond number",
        "must have a row of each fold",
        table("confirmations/0.parquet", lambda t: t.assign(fold=10**12)),
        "ensemble",
    ),
    _run(
        "confirmed on other samples",
        "must be confirmed on the samples and folds",
        table("confirmations/1.parquet", lambda t: t.iloc[::-1]),
        "ensemble",
    ),
    _run(
        "a study that is no journal",
        "a journal of Optuna's",
        content("study.journal", b"{}\n{}\n"),
    ),
    _run(
        "a pickle for a study", "a journal of Optuna's", content("study.journal", PICKLE + b"\n\n")
    ),
    _run("a named pipe for a study", "study.journal must be", instead("study.journal", os.mkfifo)),
    _run(
        "a study in a database of its own choosing",
        "--database connects to it",
        _SPLIT(
            lambda r: r["settings"].update(
                resources={"study_storage": "postgresql://me@example.invalid/theirs"}
            )
        ),
        "dashboard",
    ),
    Case(
        "run: explained by JSON nested deep",
        "index.json must be JSON",
        run_with(
            lambda run: [
                (run / "explanations").mkdir(),
                content("explanations/index.json", DEEP)(run),
            ]
        ),
        "analysis.report.__main__",
        (),
        "run",
    ),
    Case(
        "run: settings of a stranger's, nested deep",
        "search.json must be JSON",
        lambda folder: ["--resume", *run_with(content("search.json", DEEP))(folder)],
        "search.run",
        (),
    ),
)
_CONFIG = partial(record, "config.json")


def _decision(**changes: Any) -> Callable[[Path], object]:
    return _CONFIG(lambda about: about["decision"].update(changes))


_WEIGHTS = "classifier.safetensors"
_MODELS = (
    _model(
        "weights that are not finite", "holds NaN or infinity", weights(_WEIGHTS, _first_is_nan)
    ),
    _model(
        "weights of another shape",
        "Missing key(s) in state_dict",
        weights(_WEIGHTS, lambda s: s.popitem()),
    ),
    _model("a pickle for weights", "cannot be loaded", content(_WEIGHTS, PICKLE)),
    _model("weights of a terabyte", "cannot be loaded", content(_WEIGHTS, _bomb())),
    _model("a Git LFS pointer for weights", "git lfs pull fetches it", content(_WEIGHTS, LFS)),
    _model("a named pipe for weights", "it lacks", instead(_WEIGHTS, os.mkfifo)),
    _model("a config nested deep", "config.json must be JSON", content("config.json", DEEP)),
    _model("a config of 80 MB", "config.json", instead("config.json", _huge)),
    _model(
        "a config that is no text", "config.json must be JSON", content("config.json", b"\xff")
    ),
    _model("another format", "must be of format", _CONFIG(lambda r: r.update(format=99))),
    _model("another variant", "of a variant among", _CONFIG(lambda r: r.update(variant="os"))),
    _model(
        "members that are words",
        "members[0]: 'all' is not of type 'object'",
        _CONFIG(lambda r: r.update(members=["all"])),
    ),
    _model(
        "members without weights",
        "'weight' is a required property",
        _CONFIG(lambda r: r["members"][0].pop("weight")),
    ),
    _model(
        "weights of members below 0",
        "members[0].weight: -1 is less",
        _CONFIG(lambda r: r["members"][0].update(weight=-1)),
    ),
    _model(
        "a threshold of words",
        "neutral_threshold: 'x' is not of type 'number'",
        _CONFIG(lambda r: r["decision"].update(neutral_threshold="x")),
    ),
    _model(
        "a temperature of 0",
        "decision.temperature: 0 is less",
        _CONFIG(lambda r: r["decision"].update(temperature=0)),
    ),
    _model(
        "code of its own",
        "backbone text cannot be loaded",
        record(
            "text/config.json",
            lambda r: r.update(auto_map={"AutoModel": "evil.Evil"}, model_type="evil"),
        ),
    ),
    _model(
        "a config of a tower nested deep",
        "text/config.json is no JSON",
        content("text/config.json", DEEP),
    ),
    _model(
        "a pickle for a tower",
        "is no whole safetensors file",
        content("text/model.safetensors", PICKLE),
    ),
    _model(
        "a tower that is missing",
        "backbone text must be a folder",
        lambda model: shutil.rmtree(model / "text"),
    ),
    _model(
        "a tower in another folder",
        "backbone text must be a folder",
        instead("text", lambda path: path.symlink_to("/nowhere/else")),
    ),
)

FOLDERS: tuple[Case, ...] = (*_RUNS, *_MODELS)
"""Run folders, and model folders."""
