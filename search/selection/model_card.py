"""The model card: how a model was made, how well it does, and where not to trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.program import counted
from analysis.render.text import chosen_by_others
from search.study.trial import neutral_threshold
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import headlines, score_of
from trainables.variants.towers import AND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from analysis.run_folder.best_record import Best, Ensemble, Final
    from analysis.run_folder.search_record import Search
    from analysis.run_folder.test_record import TestScores
    from trainables.evaluation.classes import Classes

_KINDS = {
    "refit": "one model of the config, trained on all labelled pairs",
    "average": "the mean of the weights of the models of all folds",
    "folds": "the models of all folds, whose probabilities are averaged",
}


def model_card(search: Search, best: Best, tested: TestScores | None = None) -> str:
    """Write the card of the final model, in Markdown.

    Args:
        search: What was searched.
        best: What ships.
        tested: Its scores on a labelled test set; None where the data have none.

    Returns:
        The card.
    """
    classes = search.data.named
    sections = {
        "Model": _model(search, best),
        "Scores": f"{_scores(search, best)}\n\n{test_section(tested, classes)}".rstrip(),
        "Decision": _decision(best, classes),
        "Limits": _limits(best, classes),
    }
    return write_card(search.model, search, sections, search.random_backbones)


def write_card(
    subject: str, search: Search, sections: Mapping[str, str], random_backbones: Sequence[str]
) -> str:
    """Write a card: what a model is for, what it was trained on, and further sections.

    Args:
        subject: What the model is.
        search: A search that it comes from.
        sections: Their texts, by heading.
        random_backbones: Which backbones had random weights.

    Returns:
        The card, in Markdown.
    """
    data, split = search.data, search.split
    counts = ", ".join(f"{count:,} {tag}" for tag, count in data.classes.items())
    *others, last = data.named.names
    parts = [
        f"# {subject}: {', '.join(others)} or {last}?",
        "Classifies pairs of a short text and an image. Load it with"
        ' `python -m search.predict THIS_FOLDER --text "..." --image FILE`.',
        _warning(is_demo=data.is_demo, random_backbones=random_backbones),
        "## Data",
        f"{data.name}: {data.labelled:,} labelled pairs ({counts}). Digest"
        f" `{data.digest}`. Split `{split.kind}`, folds: {split.folds}.",
        *(part for heading, text in sections.items() for part in (f"## {heading}", text)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warning(*, is_demo: bool, random_backbones: Sequence[str]) -> str:
    reasons = ["it was trained on demo data"] * is_demo
    if random_backbones:
        reasons.append(f"random weights were used for {', '.join(random_backbones)}")
    return f"**A demonstration: {' and '.join(reasons)}.**" if reasons else ""


def _model(search: Search, best: Best) -> str:
    final = best.final
    assert final is not None
    if ensemble := best.shipped_ensemble:
        return _ensemble(search, ensemble, final)
    rows = [f"| `{name}` | {value} |" for name, value in best.params.items()]
    backbones = ", ".join(_backbones(search.backbones, best.params))
    seeds = f", averaged over {final.seeds} seeds" * (final.seeds > 1)
    about = (
        f"Kind: {final.kind}, {_KINDS[final.kind]}{seeds}; {counted(final.epochs, 'epoch')},"
        f" {final.parameters:,} parameters. Why: {final.why}. Backbones: {backbones}."
        f" Config of trial {best.trial}: {best.why}."
    )
    return "\n".join([about, "", "| hyperparameter | value |", "|---|---|", *rows])


def _ensemble(search: Search, ensemble: Ensemble, final: Final) -> str:
    backbones = ", ".join(
        f"{name.partition('/')[0]} `{source_name(source)}`"
        for name, source in search.backbones.items()
    )
    about = (
        f"An ensemble of {len(ensemble.members)}, whose probabilities are averaged by weight; each"
        f" is trained on all labelled pairs, the largest has {final.parameters:,} parameters. A"
        f" prediction embeds a pair once for all that read it alike. Why: {final.why}."
        f" Backbones: {backbones}."
    )
    return "\n".join([about, "", *member_table(ensemble)])


def member_table(ensemble: Ensemble) -> Iterator[str]:
    """Yield the lines of a table of an ensemble's members, in Markdown."""
    yield from ("| member | weight | alone, confirmed | epochs |", "|---|---:|---:|---:|")
    for one in ensemble.members:
        yield f"| {one.name} | {one.weight:.2f} | {one.confirmed:.4f} | {one.epochs or ''} |"


def _backbones(sources: Mapping[str, str], params: Mapping[str, Any]) -> Iterator[str]:
    """Name the backbones that a config reads, with the names of their weights."""
    for backbone, source in sources.items():
        role, _, name = backbone.partition("/")
        if name in str(params.get(f"{role}_backbone", name)).split(AND):
            yield f"{role} `{source_name(source)}`"


def source_name(source: str) -> str:
    """Return the name of a source without the folders of this machine."""
    return source.rstrip("/").rsplit("/", 1)[-1] if source.startswith("/") else source


def _scores(search: Search, best: Best) -> str:
    confirmed, baseline = best.confirmed, best.baseline
    columns = {"searched (optimistic)": best.scores}
    if confirmed:
        columns = {"confirmed": confirmed.scores, **columns}
    if ensemble := best.shipped_ensemble:
        columns = {
            "ensemble, confirmed": ensemble.scores,
            "best config, confirmed": columns["confirmed"],
        }
    if baseline:
        columns["logistic regression"] = baseline.logistic_regression
        columns["majority class"] = baseline.majority
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in headlines(search.data.named):
        found = (scores.get(f"val_{name}") for scores in columns.values())
        cells = ["" if value is None else f"{value:.3f}" for value in found]
        lines.append(score_row(name, cells))
    if confirmed:
        low, high = confirmed.interval
        covers = f" It covers {confirmed.covers}." if confirmed.covers else ""
        among = (
            f" It is the score of choosing among {confirmed.contenders} configs:"
            f" {chosen_by_others('config', confirmed.folds_chose)}."
            if confirmed.contenders > 1
            else ""
        )
        lines += [
            "",
            f"The confirmed {best.objective} is {confirmed.score:.4f}, 95 % bootstrap"
            f" interval {low:.4f} to {high:.4f}: of models trained again on {search.split.fresh},"
            f" scored on pairs that they did not see.{among}{covers}",
        ]
    if ensemble:
        lines += ["", f"In words: {ensemble.verdict}. It was selected on other folds."]
    if best.verdict:
        lines += ["", f"{'Of that config' if ensemble else 'In words'}: {best.verdict}."]
    return "\n".join(lines)


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def score_row(name: str, cells: Iterable[str]) -> str:
    """Return the row of a score in a table of Markdown."""
    return f"| {_cell(score_of(name).title)} | {' | '.join(cells)} |"


def test_section(tested: TestScores | None, classes: Classes) -> str:
    """Describe the scores on a labelled test set; empty where there is none."""
    if tested is None:
        return ""
    lines = [
        "### On the test set",
        "",
        f"{tested.pairs:,} labelled pairs, held out and used once, for this model.{leaks(tested)}",
        "",
        "| | this model (95 % interval) | majority class |",
        "|---|---|---|",
    ]
    for name in (name for name in headlines(classes) if name in tested.scores):
        low, high = tested.intervals[name]
        own = f"{tested.scores[name]:.3f} ({low:.3f} to {high:.3f})"
        lines.append(score_row(name, [own, f"{tested.majority[name]:.3f}"]))
    return "\n".join(lines)


def leaks(tested: TestScores) -> str:
    """Return a sentence on the pairs of a test set that the training knows, with a space first."""
    if not tested.shared:
        return ""
    return (
        f" {tested.shared:,} of them share their text or image with pairs that were trained on,"
        " which flatters."
    )


def _decision(best: Best, classes: Classes) -> str:
    decision, final, fallback = best.decision, best.final, classes.fallback_name
    if fallback is None:
        return "The most probable class." + _calibrated(final)
    if (ensemble := best.shipped_ensemble) and final:
        return (
            f"The most probable class, after the probability of {fallback} is multiplied by"
            f" {ensemble.neutral_weight:.2f}.{_calibrated(final)}"
        )
    if decision is None or final is None:
        threshold = neutral_threshold(best.params)
        name = f"{fallback[0].upper()}{fallback[1:]}"
        return f"{name} when {classes.unlikely} under {threshold:.3f}, else the largest."
    weight = decision.neutral_weight
    weighted = "" if weight is None else f", with that of {fallback} times {weight:.3f}"
    return (
        f"Rule `{decision.rule}`: {fallback} when {classes.unlikely} under"
        f" {decision.neutral_threshold:.3f}, else the most probable class{weighted}."
        + calibration_words(final.temperature, "After that the")
    )


def _calibrated(final: Final | None) -> str:
    return "" if final is None else calibration_words(final.temperature)


def calibration_words(temperature: float | None, begin: str = "The") -> str:
    """Say how shown probabilities are calibrated, with a space first; empty if they are not."""
    if temperature is None:
        return ""
    return (
        f" {begin} probabilities that are shown are calibrated with temperature"
        f" {temperature:.3f}, which was fitted out of fold."
    )


def common_limits(classes: Classes) -> list[str]:
    """Return the limits of every model, as items of a list in Markdown."""
    labels = "Labels of sentiment" if classes == SENTIMENTS else "Labels"
    return [
        "- The scores are of data like the training data; elsewhere they are likely to be lower.",
        f"- {labels} are opinions: people disagree on many pairs.",
        "- It reads no text inside images, and no more of a text than its length limit.",
    ]


def _limits(best: Best, classes: Classes) -> str:
    lines = common_limits(classes)
    if not best.confirmed:
        lines.append("- The config was not confirmed: its score is optimistic, the best of many.")
    return "\n".join(lines)
