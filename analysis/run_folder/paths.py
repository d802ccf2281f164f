"""Where the files of a run folder are, and their contents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """The files of one search, in the folder `path`, `runs/NAME`."""

    path: Path

    @property
    def search(self) -> Path:
        """What was searched: settings, objective, data, versions, hardware (JSON)."""
        return self.path / "search.json"

    @property
    def lock(self) -> Path:
        """Locked by the search that is running here."""
        return self.path / ".lock"

    @property
    def trials(self) -> Path:
        """One row per ended trial: `trial`, `fate`, `objective` at `best_epoch`, `config/*`."""
        return self.path / "trials.csv"

    @property
    def history(self) -> Path:
        """One row per trial and epoch: `trial`, `epoch` (from 1), metrics."""
        return self.path / "history.csv"

    @property
    def study(self) -> Path:
        """The Optuna study (journal file), from which everything else can be made anew."""
        return self.path / "study.journal"

    @property
    def samples(self) -> Path:
        """One row per sample, labelled first: `guid`, `tag`, `text`, `image`, `group`."""
        return self.path / "samples.parquet"

    @property
    def importances(self) -> Path:
        """One row per hyperparameter: `parameter`, `importance` in [0, 1], largest first."""
        return self.path / "importances.csv"

    @property
    def fusions(self) -> Path:
        """The chosen late-fusion trial by other fusions: `fusion`, `weight`, `chosen`, scores.

        Scores are means over folds; `chosen` says which row has a weight that was chosen, by the
        folds that it is not scored on. Older runs pooled the folds and lack the column.
        """
        return self.path / "fusions.csv"

    @property
    def best(self) -> Path:
        """The chosen config, its scores and why it was chosen (JSON).

        Stages after the trials add `confirmed`, `candidates`, `comparison`, `floor`, `verdict`,
        `decision` and `final`; each is null or absent where its stage was left out.
        """
        return self.path / "best.json"

    @property
    def all_models(self) -> Path:
        """Of a folder that holds a search of each model: what was asked, of all and each (JSON).

        Such a folder has `model`, `predictions`, `probabilities`, `report` and `stages` of its
        own, and the search of each model in a folder of the model's name.
        """
        return self.path / "all_models.json"

    @property
    def best_model(self) -> Path:
        """Of searches of several models, which of them ships and why (JSON)."""
        return self.path / "best_model.json"

    @property
    def stages(self) -> Path:
        """The stages after the trials that are done: `depends_on` and `result` by name (JSON)."""
        return self.path / "stages.json"

    @property
    def model(self) -> Path:
        """Folder of the retrained model: all that prediction needs."""
        return self.path / "model"

    @property
    def predictions(self) -> Path:
        """One row per unlabelled sample, in the order of its list: `guid`, `tag`."""
        return self.path / "predictions.csv"

    @property
    def probabilities(self) -> Path:
        """One row per unlabelled sample: `guid`, and a column per class."""
        return self.path / "probabilities.csv"

    @property
    def test_scores(self) -> Path:
        """The final model's scores on a labelled test set, where the data have one (JSON)."""
        return self.path / "test_scores.json"

    @property
    def report(self) -> Path:
        """The report: one page that stands alone."""
        return self.path / "report.html"

    @property
    def explanations(self) -> Path:
        """Folder of pictures of what the model looked at: `ROW.jpg` and `index.json`."""
        return self.path / "explanations"

    @property
    def explanations_index(self) -> Path:
        """What was explained (JSON): `samples`, each with `row`, `decided`, `words`, `overlay`."""
        return self.explanations / "index.json"

    def thumbnail(self, row: int) -> Path:
        """The small image of a sample that the report shows (JPEG), by index of the sample."""
        return self.path / "thumbnails" / f"{row}.jpg"

    @property
    def ray(self) -> Path:
        """Folder of Ray's own files; nothing in it is needed once the search has ended."""
        return self.path / "ray"

    def trial_probabilities(self, trial: int) -> Path:
        """The out-of-fold probabilities of a trial's best epoch (Parquet).

        Columns `row` (index of a labelled sample; with repeats once in each) and one per class,
        then one per branch and class where the model has several branches.

        Returns:
            The file.
        """
        return self.path / "probabilities" / f"{trial}.parquet"

    @property
    def baseline(self) -> Path:
        """The logistic regression's probabilities out of fold (Parquet): see `confirmation`."""
        return self.path / "floor.parquet"

    @property
    def rung_zero(self) -> Path:
        """One row per combination of what trials can read, best first: `schema.RUNG_ZERO`."""
        return self.path / "rung_zero.csv"

    @property
    def rung_zero_probabilities(self) -> Path:
        """Out-of-fold probabilities of the logistic regression on each of them (Parquet).

        `combination` (from 0, nearest to the hand-tuned config first), `fold`, `row` (index of a
        labelled sample) and one column per class.
        """
        return self.path / "rung_zero.parquet"

    @property
    def ensemble(self) -> Path:
        """An ensemble's predictions on the folds that configs are confirmed on (Parquet).

        `repeat`, `fold`, `row`, one column per class, and `decided`, an index of the classes.
        """
        return self.path / "confirmations" / "ensemble.parquet"

    @property
    def member_regressions(self) -> Path:
        """An ensemble's regressions' predictions on the folds that configs are confirmed on.

        A Parquet file: `combination` (which of them, from 0), and columns as `confirmation` says,
        but for `epoch` and `chosen`.
        """
        return self.path / "confirmations" / "regressions.parquet"

    def confirmation(self, trial: int) -> Path:
        """The out-of-fold probabilities of a trial's config that was trained again (Parquet).

        Columns `repeat`, `fold` (from 0, counted through all repeats), `epoch`, from 1, `chosen`
        (whether it is the one that the other folds chose), `row` (index of a labelled sample) and
        one per class. Older runs kept the chosen epochs only.

        Returns:
            The file.
        """
        return self.path / "confirmations" / f"{trial}.parquet"

    @property
    def reported(self) -> Path:
        """Predictions of the confirmed score (Parquet), each fold by what the other folds chose.

        `repeat`, `fold`, `trial` (the config that they chose), `epoch` (likewise), `row`, one
        column per class, and `decided`, an index of the classes.
        """
        return self.path / "confirmations" / "told.parquet"

    def test_probabilities(self, trial: int) -> Path:
        """Parquet: `guid` and a confirmed config's class probabilities, mean over its folds."""
        return self.path / "test_probabilities" / f"{trial}.parquet"
