"""What is printed when a search has ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from analysis.program import counted
from analysis.render.columns import least_width, terminal_table
from analysis.render.text import chosen_by_others, in_how_many
from search.config.address import joining
from search.console.live import clock
from search.study.tiny_space import is_tiny
from trainables.config import ROLES
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import headlines as headline_scores
from trainables.evaluation.metrics import score_of
from trainables.modules.backbones.weights import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from analysis.run_folder.best_record import Best
    from analysis.run_folder.folder import RunFolder
    from analysis.run_folder.records import Scores
    from analysis.run_folder.test_record import TestScores
    from search.config.plan import Plan
    from search.study.trial import Records
    from trainables.config import Modality
    from trainables.data.sample import Corpus
    from trainables.evaluation.classes import Classes


@dataclass(frozen=True)
class Outcome:
    """The result of a search.

    Attributes:
        records: Its trials.
        best: The chosen config and its scores; None when no trial has a score.
        stop_reason: Why it ended early; empty if it did not.
        notes: Plain sentences for the summary.
        seconds: Wall-clock time of the trials.
        hopeless: Whether the stages after the trials are not worth their time now.
    """

    records: Records
    best: Best | None
    stop_reason: str
    notes: tuple[str, ...]
    seconds: float

    hopeless: bool = False


def print_summary(console: Console, outcome: Outcome, folder: RunFolder, warning: str) -> None:
    """Print the result of a search, of which some trial has a score.

    Args:
        console: Where to.
        outcome: The result.
        folder: The run folder.
        warning: Why scores are meaningless; empty if they are not.
    """
    best = outcome.best
    assert best is not None
    fates = Counter(record.fate for record in outcome.records.values())
    counts = ", ".join(f"{count} {fate}" for fate, count in fates.items())
    console.print(
        f"\n{counted(len(outcome.records), 'trial')} in {clock(outcome.seconds)}: {counts}"
    )
    if outcome.stop_reason:
        console.print(f"cut off: {outcome.stop_reason}", style="yellow")
    is_hand_tuned = best.hand_tuned is not None and best.hand_tuned.trial == best.trial
    console.print(_headline(best, is_hand_tuned=is_hand_tuned), highlight=False)
    tested = folder.read_test_scores() if folder.test_scores.exists() else None
    rows = _rows(best, is_hand_tuned=is_hand_tuned) | fusion_rows(folder)
    if tested is not None:
        rows = {"test set, used once": {f"val_{k}": v for k, v in tested.scores.items()}} | rows
    console.print(_score_table(rows, folder.classes, console.width))
    for line in _findings(best):
        console.print(line, highlight=False)
    if tested is not None:
        console.print(finding_on_test_set(best.objective, tested), highlight=False)
    for note in outcome.notes:
        console.print(note, style="dim", highlight=False)
    for name, value in _places(outcome, folder).items():
        console.print(Text(f"{name:<12} {value}"))
    if warning:
        console.print(Text(warning, style="yellow"))


def why_all_failed(records: Records) -> str:
    """Return the most frequent reason why trials failed, and how frequent it is."""
    reasons = Counter(record.error for record in records.values() if record.error)
    if not reasons:
        return "the search ended before any trial had finished an epoch"
    reason, count = reasons.most_common(1)[0]
    return f"no trial has a score; {count} of {len(records)} failed with: {reason}"


def _headline(best: Best, *, is_hand_tuned: bool) -> str:
    """Say how good what ships is, else the chosen config: as confirmed, where it was."""
    if ensemble := best.shipped_ensemble:
        score = f"[bold green]{best.objective} {ensemble.score:.4f}[/]"
        return f"best {score} as confirmed by an ensemble of {len(ensemble.members)}"
    tail = " (the hand-tuned config)" * is_hand_tuned + f": {best.why}"
    return f"{_score_of_config(best)}{tail}"


def _score_of_config(best: Best) -> str:
    score = f"[bold green]{best.objective} {(best.confirmed or best).score:.4f}[/]"
    if best.confirmed:
        epochs = best.confirmed.epochs  # older runs lack them
        words = "" if epochs is None else f", {counted(epochs, 'epoch')}"
        return f"best {score} as confirmed by trial {best.trial}{words}"
    return f"best {score} by trial {best.trial} at epoch {best.best_epoch}"


def _rows(best: Best, *, is_hand_tuned: bool) -> dict[str, Scores]:
    """Return the scores to show, unbiased ones first."""
    baseline = best.baseline
    rows = {"ensemble, confirmed": best.ensemble.scores} if best.ensemble else {}
    if best.confirmed:
        rows["best config, confirmed" if best.ensemble else "confirmed"] = best.confirmed.scores
    rows["searched"] = best.scores
    if baseline and baseline.hand_tuned and not is_hand_tuned:
        rows["hand-tuned, confirmed"] = baseline.hand_tuned
    elif best.hand_tuned and not is_hand_tuned:
        rows["hand-tuned"] = best.hand_tuned.scores
    if baseline:
        rows["logistic regression"] = baseline.logistic_regression
        rows["majority class"] = baseline.majority
    return rows


def _findings(best: Best) -> Iterator[str]:
    if confirmed := best.confirmed:
        low, high = confirmed.interval
        covers = f", which covers {confirmed.covers}" if confirmed.covers else ""
        yield f"confirmed {confirmed.score:.4f}, 95 % interval {low:.4f} to {high:.4f}{covers}"
        if confirmed.contenders > 1:
            chose = confirmed.folds_chose
            agreed = in_how_many(best.trial, f"trial {best.trial}", chose)
            yield f"{chosen_by_others('config', chose)}{agreed}"
    if best.verdict:
        yield best.verdict
    if ensemble := best.ensemble:
        low, high = ensemble.interval
        yield f"{ensemble.verdict}; 95 % interval {low:.4f} to {high:.4f}"
        yield "in it: " + ", ".join(
            f"{member.name} {member.weight:.2f}" for member in ensemble.members
        )
    if final := best.final:
        epochs = "" if final.kind == "ensemble" else f", {counted(final.epochs, 'epoch')}"
        yield f"ships: {final.kind}{epochs}: {final.why}"


def finding_on_test_set(metric: str, tested: TestScores) -> str:
    """Say in a sentence how a model does on the test set."""
    name = metric.removeprefix("val_")
    low, high = tested.intervals[name]
    known = f"; {tested.shared:,} of them share text or image with the training" * bool(
        tested.shared
    )
    return (
        f"on the test set of {tested.pairs:,} pairs, used once: {name} {tested.scores[name]:.4f},"
        f" 95 % interval {low:.4f} to {high:.4f}{known}"
    )


def _score_table(rows: Mapping[str, Scores], classes: Classes, width: int) -> Group:
    """Make a table of scores, without those of most classes where they do not fit a width."""
    names = headline_scores(classes)
    columns = {"": [*rows]} | {score_of(name).title: _cells(rows, name) for name in names}
    if least_width(columns) <= width:
        return Group(terminal_table(columns, width, [""]))
    of_class = {score_of(name).title: score_of(name).of_class for name in names}
    kept = {None, classes.fallback_name}
    columns = {title: columns[title] for title in columns if of_class.get(title) in kept}
    where = Text("the report and the model card have the F1 of each class", style="dim")
    return Group(terminal_table(columns, width, [""]), where)


def _cells(rows: Mapping[str, Scores], name: str) -> list[str]:
    found = (scores.get(f"val_{name}") for scores in rows.values())
    return ["" if score is None else f"{score:.4f}" for score in found]


def _places(outcome: Outcome, folder: RunFolder) -> dict[str, str]:
    places = {"results": str(folder.path)}
    if folder.report.exists():
        places["report"] = str(folder.report)
    if outcome.best is not None and outcome.best.final:
        places["model"] = str(folder.model)
        if folder.predictions.exists():
            places["predictions"] = str(folder.predictions)
        places["predict"] = predict_command(folder, folder.read_search().modality)
    return places


def predict_command(folder: RunFolder, modality: Modality) -> str:
    """Return a command that classifies a pair with the model of a folder."""
    pair = {"text": '--text "what a day"', "image": "--image cat.jpg"}
    words = [pair[role] for role in ROLES[modality]]
    return " ".join(["python -m search.predict", str(folder.path), *words])


def headlines(plan: Plan, corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Yield lines on what is about to be searched and where, each with its style."""
    yield title(plan, corpus), "bold"
    if joined := joining(plan.settings.resources.address):
        yield joined, ""
    if corpus.classes != SENTIMENTS:
        yield class_line(corpus.classes), ""
    for noticed in (warning(plan, corpus), *corpus.notes):
        if noticed:
            yield noticed, "yellow"


def title(plan: Plan, corpus: Corpus) -> str:
    """Return the first line of the output: what is searched, on which data, with which weights."""
    named: dict[str, list[str]] = {}
    for backbone, source in plan.backbones.items():
        role, _, name = backbone.partition("/")
        named.setdefault(role, []).append(name or _short(source))
    weights = ", ".join(f"{role} {' or '.join(names)}" for role, names in named.items())
    data = "the embedded demo data" if corpus.is_demo else corpus.name
    counts = f"{len(corpus.labelled):,} labelled, {len(corpus.unlabelled):,} to predict"
    modality = plan.settings.modality
    name = plan.variant.name + (f", {modality} only," if modality != "both" else "")
    return f"{name} on {data} ({counts}) with {weights}"


def class_line(classes: Classes) -> str:
    """Say which classes there are, and which is the fallback."""
    named = f"{len(classes)} classes: {', '.join(classes.names)}"
    if classes.fallback is None:
        return f"{named}; the likeliest decides (--fallback-class NAME names one for unsure pairs)"
    return f"{named}; {classes.fallback_name} where no other is likely enough"


def warning(plan: Plan, corpus: Corpus) -> str:
    """Return why scores say nothing about real data, in one line; empty if they do."""
    random = [role for role, source in plan.backbones.items() if source == TINY]
    reasons = ["demo data"] * corpus.is_demo
    # Mentioned because the space of pretrained towers has other ranges.
    space = " and a search space for them" * is_tiny(plan.backbones)
    reasons += [f"random tiny weights ({', '.join(random)}){space}"] * bool(random)
    return f"{', '.join(reasons)}: scores say nothing about real tweets" if reasons else ""


def _short(source: str) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1] if source.startswith("/") else source


def fusion_rows(folder: RunFolder) -> dict[str, Scores]:
    """Return scores of the vote and of the weight chosen by the other folds, by a name to show.

    Returns:
        The scores; empty without a table, or with one of an older version, which pooled the folds.
    """
    if not folder.fusions.exists():
        return {}
    table = folder.read_fusions()
    if "chosen" not in table:
        return {}
    nested = table[table["chosen"] == "others"].iloc[0]
    rows = {"by vote": table[table["fusion"] == "vote"].iloc[0]}
    rows[f"by text weight {nested['weight']:.2f}, nested"] = nested
    names = table.columns.drop(["fusion", "weight", "chosen"])
    return {which: {f"val_{key}": row[key] for key in names} for which, row in rows.items()}
