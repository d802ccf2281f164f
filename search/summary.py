"""What is printed when a search has ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from search.cut_off import TIME_BUDGET
from search.fusions import fusion_rows
from search.view import clock
from trainables.config import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from analysis.results import RunFolder
    from search.trials import Records

_COLUMNS = {
    "val_accuracy": "accuracy",
    "val_weighted_f1": "weighted F1",
    "val_macro_f1": "macro F1",
    "val_f1_positive": "F1 pos",
    "val_f1_neutral": "F1 neu",
    "val_f1_negative": "F1 neg",
}


@dataclass(frozen=True)
class Outcome:
    """What a search came to.

    Attributes:
        records: Its trials.
        best: The content of `best.json`; None when no trial has a score.
        cut_off: Why it ended early; empty when it ran its course.
        notes: Plain sentences for the summary.
        seconds: Wall-clock time of the trials.
    """

    records: Records
    best: dict[str, Any] | None
    cut_off: str
    notes: tuple[str, ...]
    seconds: float

    @property
    def hopeless(self) -> bool:
        """Whether what comes after the trials is not worth its time now."""
        return self.cut_off not in {"", TIME_BUDGET}


def print_summary(console: Console, outcome: Outcome, folder: RunFolder, warning: str) -> None:
    """Print what a search came to.

    Args:
        console: Where to.
        outcome: What it came to; some trial has a score.
        folder: Where everything is.
        warning: Why scores say nothing; empty where they do.
    """
    best = outcome.best
    assert best is not None
    fates = Counter(record.fate for record in outcome.records.values())
    counts = ", ".join(f"{count} {fate}" for fate, count in fates.items())
    console.print(f"\n{len(outcome.records)} trials in {clock(outcome.seconds)}: {counts}")
    if outcome.cut_off:
        console.print(f"cut off: {outcome.cut_off}", style="yellow")
    hand_tuned = best["hand_tuned"]
    is_hand_tuned = bool(hand_tuned) and hand_tuned["trial"] == best["trial"]
    console.print(
        _headline(best) + " (the hand-tuned config)" * is_hand_tuned + f": {best['why']}",
        highlight=False,
    )
    rows = _rows(best, is_hand_tuned=is_hand_tuned) | fusion_rows(folder)
    console.print(_score_table(rows))
    for line in _told(best):
        console.print(line, highlight=False)
    for note in outcome.notes:
        console.print(note, style="dim", highlight=False)
    for name, value in _places(outcome, folder).items():
        console.print(Text(f"{name:<12} {value}"))
    if warning:
        console.print(Text(warning, style="yellow"))


def why_all_failed(records: Records) -> str:
    """Say why no trial has a score.

    Args:
        records: The trials.

    Returns:
        The commonest reason, and how common it is.
    """
    reasons = Counter(record.error for record in records.values() if record.error)
    if not reasons:
        return "the search ended before any trial had finished an epoch"
    reason, count = reasons.most_common(1)[0]
    return f"no trial has a score; {count} of {len(records)} failed with: {reason}"


def _headline(best: Mapping[str, Any]) -> str:
    """Say how good the chosen config is: as confirmed, where it was."""
    confirmed = best.get("confirmed")
    score = f"{(confirmed or best)['score']:.4f}"
    how = f"{confirmed['epochs']} epochs" if confirmed else f"at epoch {best['best_epoch']}"
    told = " as confirmed" if confirmed else ""
    return (
        f"best [bold green]{best['objective']} {score}[/]{told} by trial {best['trial']}"
        f"{', ' if confirmed else ' '}{how}"
    )


def _rows(best: Mapping[str, Any], *, is_hand_tuned: bool) -> dict[str, Mapping[str, float]]:
    """Give the scores to show: what is honest first, where there is any."""
    confirmed, floor = best.get("confirmed"), best.get("floor")
    hand_tuned = (floor or {}).get("hand_tuned")
    rows = {"confirmed": confirmed["scores"]} if confirmed else {}
    rows["searched"] = best["scores"]
    if hand_tuned and not is_hand_tuned:
        rows["hand-tuned, confirmed"] = hand_tuned
    elif best["hand_tuned"] and not is_hand_tuned:
        rows["hand-tuned"] = best["hand_tuned"]["scores"]
    if floor:
        rows["logistic regression"] = floor["logistic_regression"]
        rows["majority class"] = floor["majority"]
    return rows


def _told(best: Mapping[str, Any]) -> Iterator[str]:
    if confirmed := best.get("confirmed"):
        low, high = confirmed["interval"]
        covers = f", which covers {confirmed['covers']}" if "covers" in confirmed else ""
        yield f"confirmed {confirmed['score']:.4f}, 95 % interval {low:.4f} to {high:.4f}{covers}"
        if confirmed.get("contenders", 1) > 1:
            agreed = confirmed["folds_chose"].count(best["trial"])
            yield (
                f"each fold is scored by the config that the other folds choose: trial"
                f" {best['trial']} in {agreed} of {len(confirmed['folds_chose'])}"
            )
    if best.get("verdict"):
        yield best["verdict"]
    if final := best.get("final"):
        yield f"ships: {final['kind']}, {final['epochs']} epochs: {final['why']}"


def _score_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in _COLUMNS.values():
        table.add_column(name, justify="right")
    for name, scores in rows.items():
        cells = [f"{scores[key]:.4f}" if key in scores else "" for key in _COLUMNS]
        table.add_row(name, *cells)
    return table


def _places(outcome: Outcome, folder: RunFolder) -> dict[str, str]:
    places = {"results": str(folder.path)}
    if folder.report.exists():
        places["report"] = str(folder.report)
    if outcome.best is not None and outcome.best.get("final"):
        places["model"] = str(folder.model)
        if folder.predictions.exists():
            places["predictions"] = str(folder.predictions)
        pair = {"text": '--text "what a day"', "image": "--image cat.jpg"}
        words = [pair[role] for role in ROLES[folder.read_search()["modality"]]]
        places["predict"] = " ".join(["python -m search.predict", str(folder.path), *words])
    return places
