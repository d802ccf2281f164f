"""The search from Python: `search.search(...)` does what the command line does."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.program import make_console, tell
from analysis.run_folder.io import ResultsError
from analysis.run_folder.run import Run as AnalysedRun
from analysis.run_folder.run import load
from search.config.default_folder import own_folder
from search.config.settings import ALL, SearchSettings, default_cache, parse
from search.errors import ClusterError, SettingsError, WorkError
from trainables.config import ROLES, nearest
from trainables.data.sample import image_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.config.plan import Plan
    from trainables.inference.predictor import Predictor

_FLAGS = {"path": "data"}  # flags that are not named after their field
_FRAMES = "frames"
_NO_SEARCH = {"show_space", "dry_run", "list_backbones"}  # these print, and search nothing


@dataclass(frozen=True)
class Run(AnalysedRun):
    """A run as `analysis.load` gives it, which predicts as well.

    Attributes:
        ships: The model folder that it ships; None for that of the run. Of all models it is the
            one answer at the top of their folder, which may join several.
    """

    ships: Path | None = None

    def predictor(self) -> FramePredictor:
        """Load what ships.

        Returns:
            The model.

        Raises:
            ModelError: If the run has none.
        """
        return FramePredictor(self.ships or self.folder.model)


class FramePredictor:
    """A model that classifies the rows of a data frame.

    Args:
        folder: The model folder.

    Raises:
        ModelError: If it holds no model that can be loaded.
    """

    def __init__(self, folder: Path) -> None:
        from trainables.inference.predictor import Predictor  # noqa: PLC0415 - it imports torch

        self._predictor: Predictor = Predictor(folder)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Classify pairs; what is noticed while reading them goes to standard error.

        Args:
            frame: One pair a row, in the columns that the model reads: `text`, and `image` (names
                of files, or their bytes). A `guid` is taken over; tags are ignored.

        Returns:
            A row for each, with its index: `guid`, `tag`, and the probability of each class.

        Raises:
            TypeError: If it is no data frame.
            CorpusError: If a pair cannot be read; lists all faults.
        """
        if not isinstance(frame, pd.DataFrame):
            msg = f"pairs must be given as a pandas DataFrame, got {type(frame).__name__}"
            raise TypeError(msg)
        from trainables.data.corpus import Allowed, load_pairs  # noqa: PLC0415 - as above
        from trainables.data.whole_images import WholeImages  # noqa: PLC0415 - as above

        read = {"guid", *ROLES["both"]}
        pairs = frame[[name for name in frame.columns if _column(name) in read]]
        path = stored(pairs, default_cache())
        with _faults_of_the_frame(path):
            corpus = load_pairs(
                path,
                allowed=Allowed(outside=True, missing=self._predictor.inputs.missing),
                modality=self._predictor.modality,
                whole_images=WholeImages(None, default_cache() / "unpacked_images"),
            )
        tell(corpus.notes)
        predictions = self._predictor.predict(corpus.samples)
        names = list(self._predictor.classes.names)
        table = pd.DataFrame([p.probabilities for p in predictions], frame.index, names)
        table.insert(0, "tag", [p.tag for p in predictions])
        table.insert(0, "guid", [p.guid for p in predictions])
        return table


def search(
    *,
    data: pd.DataFrame | Path | str | None = None,
    backbones: Mapping[str, Any] | None = None,
    fix: Mapping[str, Any] | None = None,
    range: Mapping[str, Any] | None = None,  # noqa: A002 - the name of the flag
    **settings: Any,
) -> Run:
    """Search, choose, train what ships and predict, as `python -m search.run` does.

    Args:
        data: A data set as of `--data`, or a frame of labelled pairs: `text`, `image` (names of
            files, their bytes, or these as Hugging Face keeps them), `tag` (missing where it is to
            be predicted), and optionally `guid` and `split`. With `missing="allow"` a text or an
            image may be missing, too.
        backbones: Weights by role, one source or a list of several.
        fix: Values of hyperparameters to hold, by name.
        range: By hyperparameter the ends of its range, a tuple, or its values, a list.
        **settings: Any other setting, by its flag without the dashes: `model="early_fusion"`,
            `trials=12`, `time_budget="20m"`, `retrain=False`, `resume="runs/mine"`.

    Returns:
        The run; with `model="all"` that of the chosen model, whose predictor is what ships of all.

    Raises:
        TypeError: If there is no such setting.
        SettingsError: If a setting is wrong; the message lists all faults. It is a `ValueError`,
            as are those of data and weights.
        WorkError: If nothing came of it.
        KeyboardInterrupt: If it was interrupted; `resume` goes on with it.

    Example:
        ```python
        import search

        run = search.search(model="early_fusion", trials=12, data=frame, out="runs/mine")
        run.trials.sort_values("objective", ascending=False).head()
        run.predictor().predict(frame.head())
        ```
    """
    if isinstance(data, pd.DataFrame):
        cache = settings.get("cache")
        data = stored(data, default_cache() if cache is None else Path(cache))
        settings = {"allow_outside": True, **settings}
    named = {"backbone": backbones, "fix": fix, "range": range}
    words = words_of({"data": data, **named, **settings})
    with own_folder(_parsed(words)) as asked, _faults_of_the_frame(asked.data.path):
        return _searched_all(asked) if asked.model == ALL else _searched(asked)


@contextmanager
def _faults_of_the_frame(table: Path | None) -> Iterator[None]:
    """Speak of the frame where a fault is of the table that it was stored as."""
    from trainables.data.corpus import CorpusError  # noqa: PLC0415 - for those who search alone

    try:
        yield
    except CorpusError as error:
        if table is None or table.parent.name != _FRAMES:
            raise
        words = str(error).replace(str(table), "the frame").replace(table.name, "the frame")
        raise CorpusError(words.replace("a Parquet file must", "a frame must")) from None


def _searched(settings: SearchSettings) -> Run:
    from search.config.plan import make_plan  # noqa: PLC0415 - as above
    from search.console.summary import why_all_failed  # noqa: PLC0415 - as above
    from search.pipeline.workflow import carry_out  # noqa: PLC0415 - as above
    from search.tune.stopper import INTERRUPTED  # noqa: PLC0415 - as above

    plan: Plan = make_plan(settings)
    outcome = carry_out(plan, make_console())
    if outcome.stop_reason == INTERRUPTED:
        raise KeyboardInterrupt
    if outcome.hopeless:
        msg = f"stopped: {outcome.stop_reason}; resume={str(plan.folder.path)!r} goes on with it"
        raise WorkError(msg)
    if outcome.best is None:
        raise WorkError(why_all_failed(outcome.records))
    run = load(plan.folder.path)
    return Run(run.folder, run.search, run.best, run.notes, run.database)


def _searched_all(settings: SearchSettings) -> Run:
    """Search every model in turn, where one that fails does not stop the others."""
    from optuna.exceptions import StorageInternalError  # noqa: PLC0415 - as above

    from search.pipeline import multi_model as all_models  # noqa: PLC0415 - as above
    from search.pipeline.one_answer import give_one_answer  # noqa: PLC0415 - as above
    from trainables.data.corpus import CorpusError  # noqa: PLC0415 - as above
    from trainables.data.splits import SplitError  # noqa: PLC0415 - as above

    ends_one = (CorpusError, SplitError, ResultsError, ClusterError, WorkError, OSError)
    searches = all_models.settings_by_model(settings)
    deadline, failed = all_models.deadline_of(searches), dict[str, str]()

    def one(own: SearchSettings) -> int:
        try:
            _searched(own)
        except (*ends_one, StorageInternalError) as error:
            failed[own.model] = str(error)
        return int(own.model in failed)

    with all_models.in_one_folder(settings, searches) as folder:
        codes = all_models.search_all(searches, all_models.numbered(searches, one), deadline)
        best = give_one_answer(folder, searches, deadline, make_console())
    faults = [f"{model}: {words}" for model, words in failed.items()]
    faults += all_models.left_over(searches, codes)
    if best is None:
        raise WorkError("\n".join(faults))
    tell(faults)
    run = load(folder.path / best.model)
    ships = None if best.shipped is None else folder.model
    return Run(run.folder, run.search, run.best, run.notes, run.database, ships)


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """Spell settings as on the command line.

    Args:
        settings: Values by the name of the flag, with underscores; None leaves a setting out.

    Returns:
        The words after `python -m search.run`.

    Raises:
        TypeError: If there is no such setting.
    """
    flags = [_FLAGS.get(name, name) for name in _names(SearchSettings) if name not in _NO_SEARCH]
    words: list[str] = []
    for name, value in settings.items():
        if name not in flags:
            hint = nearest(name, flags)
            msg = f"search() must get the settings of search.run, got {name!r}; {hint}"
            raise TypeError(msg)
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif value is not None:
            words += [word for one in _values(name, value) for word in (flag, one)]
    return words


def _names(kind: Any) -> Iterator[str]:
    for field in fields(kind):
        inner = field.default_factory
        if is_dataclass(inner):
            yield from _names(inner)
        else:
            yield field.name


def _values(flag: str, value: Any) -> list[str]:
    """Return the words after each repetition of a flag."""
    if isinstance(value, Mapping):
        pairs = ((name, each) for name, one in value.items() for each in _each(flag, one))
        return [f"{name}={each}" for name, each in pairs]
    return [_word(one) for one in (value if isinstance(value, list | tuple) else [value])]


def _each(flag: str, value: Any) -> list[str]:
    if flag == "range":
        mark = ":" if isinstance(value, tuple) else ","
        return [mark.join(map(_word, value))]
    return [_word(one) for one in (value if isinstance(value, list | tuple) else [value])]


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(words: list[str]) -> SearchSettings:
    """Read the words as the command line does; what it would print is the message."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return parse(words)
    except SystemExit as error:
        lines = (line.strip("╭╰─│╮╯ ") for line in said.getvalue().splitlines())
        raise SettingsError("\n".join(line for line in lines if line)) from error


def _column(name: Any) -> str:
    return str(name).strip().lower()


def _image(one: Any) -> Any:
    """Return the bytes of an image as the Hugging Face hub stores it, or a whole path."""
    if isinstance(one, Mapping):
        one = one.get("bytes") or one.get("path")
    return str(Path(one).absolute()) if isinstance(one, str | Path) else one


def stored(frame: pd.DataFrame, cache: Path) -> Path:
    """Store a frame as a table that is named after its content, unless it is there.

    Args:
        frame: The pairs; names of images may be relative to the working folder.
        cache: The folder to store it below.

    Returns:
        The table.

    Raises:
        ValueError: If a column holds what no table can.
    """
    table = frame.copy()
    table.columns = [_column(name) for name in frame.columns]
    if "image" in table:
        table["image"] = [_image(one) for one in table["image"]]
        kinds = {type(one).__name__ for one in table["image"].dropna()}
        if len(kinds) > 1 or kinds - {"str", "bytes"}:
            found = " and ".join(sorted(kinds))
            msg = f"image must be names of files, or bytes of images, one a pair, got {found}"
            raise ValueError(msg)
    raw = io.BytesIO()
    try:
        table.to_parquet(raw, index=False)
    except (TypeError, ValueError) as error:  # pyarrow's among them
        msg = f"data must be a frame that Parquet can hold: {error}"
        raise ValueError(msg) from error
    path = cache / _FRAMES / f"frame-{image_digest(raw.getvalue())[:12]}.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(raw.getvalue())
        partial.replace(path)
    return path
