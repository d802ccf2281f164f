"""Facts about a run in words: counts, the config, the decision rule, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas import isna

from analysis.program import counted
from analysis.render.text import (
    format_count,
    format_duration,
    format_percent,
    format_score,
    format_value,
    readable,
)
from analysis.tables.stages import stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analysis.run_folder.best_record import Best, Decision, Final
    from analysis.run_folder.run import Run
    from trainables.evaluation.classes import Classes

_FOLDS = "folds"  # which runs of older versions called an ensemble
_LIKELIEST = "It decides on the likeliest class."
_FINAL = {
    "refit": "The final model was trained again on all labelled samples",
    "average": "The final model averages the weights of the folds",
    _FOLDS: "The final model averages the probabilities of the folds",
    "ensemble": "The final model is an ensemble of several configs",
}


def counts(run: Run) -> str:
    """Count trials by fate, and folds, in one line."""
    fates = run.trials["fate"].value_counts()
    ended = ", ".join(f"{count} {fate}" for fate, count in fates.items() if count)
    folds = run.search.split.folds
    parts = [f"{counted(len(run.trials), 'trial')} ({ended})" if ended else "no trial has ended"]
    return " · ".join([*parts, f"{folds} folds" if folds > 1 else "one split"])


def why(run: Run) -> str:
    """Explain in one line why the config was chosen. Some trial must have a score."""
    assert run.best is not None
    best = run.best
    folds = run.search.split.folds
    if ensemble := best.shipped_ensemble:
        sentence = "An ensemble of what the search tried."
        if ensemble.spread is None or folds < 2:
            return sentence
        return f"{sentence} Spread over {folds} folds: {ensemble.spread:.4f}."
    if (confirmed := best.confirmed) and confirmed.epochs is not None:
        at = f", {counted(confirmed.epochs, 'epoch')}"
        spread, folds = confirmed.spread, len(confirmed.folds_chose) or folds
    else:
        at = f" at epoch {best.best_epoch}"
        spread = best.scores.get(f"{run.objective}_std")
    sentence = f"Trial {best.trial}{at}: {best.why}."
    if spread is None or folds < 2:
        return sentence
    return f"{sentence} Spread over {folds} folds: {spread:.4f}."


def config(run: Run) -> list[tuple[str, str]]:
    """List the chosen hyperparameters and their values, most important first."""
    assert run.best is not None
    params = run.best.params
    ranked = [name for name in run.importances["parameter"] if name in params]
    order = [*ranked, *(name for name in params if name not in ranked)]
    return [(readable(name), format_value(params[name])) for name in order]


def config_heading(best: Best) -> str:
    """Name the config that is listed: what ships, or the best beside an ensemble that ships."""
    return "The best config alone" if best.shipped_ensemble else "The chosen config"


def left_out(run: Run) -> list[str]:
    """List in sentences what rung zero left out of the space."""
    kept = run.folder.read_stages().get("rung_zero")
    return [str(sentence) for sentence in kept.result.get("sentences", ())] if kept else []


def decisions(run: Run) -> list[str]:
    """Describe the decision rule and the final model, in sentences."""
    assert run.best is not None
    if ensemble := run.best.shipped_ensemble:
        fallback, weight = run.classes.fallback_name, f"{ensemble.neutral_weight:.2f}"
        rule = f"It multiplies the probability of {fallback} by {weight}, and takes the likeliest."
        rule = _LIKELIEST if fallback is None else rule
        return [rule, *_final(run.best.final, "ensemble")]
    return [*_decision(run.best.decision, run.classes), *_final(run.best.final, _FOLDS)]


def _decision(decision: Decision | None, classes: Classes) -> Iterator[str]:
    if not decision:
        return
    rule, threshold = decision.rule, decision.neutral_threshold
    if rule == "argmax" or threshold is None or classes.fallback is None:
        yield _LIKELIEST
        return
    chosen = "tuned on the other folds" if rule == "tuned" else "as the trial drew it"
    says = f"It says {classes.fallback_name} when {classes.unlikely} under {threshold:.3f}"
    yield f"{says}, {chosen}."
    tuned, searched = decision.tuned_score, decision.searched_score
    if tuned is not None and searched is not None:
        scores = f"tuning comes to {format_score(tuned)}, searching to {format_score(searched)}"
        yield f"Nested over folds, {scores}."


def _final(final: Final | None, ensemble: str) -> Iterator[str]:
    if final:
        kind = ensemble if final.kind == "ensemble" else final.kind
        sentence = _FINAL.get(kind, f"The final model: {final.kind}")
        yield f"{sentence}: {final.why}." if final.why else f"{sentence}."


def stage_rows(run: Run) -> list[tuple[str, str, str, str, str]]:
    """Format each stage of a search: its name, folds, trials, time and score."""
    return [
        (
            row["stage"],
            row["scored_on"],
            "" if isna(row["trials"]) else format_count(int(row["trials"])),
            "" if isna(row["seconds"]) else format_duration(row["seconds"]),
            format_score(row["score"]),
        )
        for row in stages(run).to_dict("records")
    ]


def tiles(run: Run, speeds: Mapping[str, float]) -> list[tuple[str, str]]:
    """List the cost of a search as names and values; `speeds` is from `tables.search.speed`."""
    found = [
        ("trials", format_count(speeds["trials"])),
        ("epochs", format_count(speeds["epochs"])),
    ]
    if "wall_seconds" in speeds:
        found.append(("first trial to last", format_duration(speeds["wall_seconds"])))
        found.append(("trials an hour", format_count(speeds["trials_per_hour"])))
        found.append(("slots in use", format_percent(speeds["utilisation"])))
    else:
        found.append(("time of all trials", format_duration(speeds["trial_seconds"])))
    memory = run.trials.get("peak_memory_mb")
    if memory is None:
        memory = run.history.get("peak_memory_mb")
    if memory is not None and memory.notna().any():
        found.append(("most memory of a trial", f"{memory.max() / 1000:.1f} GB"))
    return found + _cache(run)


def _cache(run: Run) -> list[tuple[str, str]]:
    built = run.search.activations
    if not built:
        return []
    hits = sum(step.cached for step in built)
    found = [("frozen layers from the cache", f"{hits} of {len(built)}")]
    seconds = sum(step.seconds for step in built if not step.cached)
    return found + [("time to build the others", format_duration(seconds))] * (hits < len(built))


def origin(run: Run) -> dict[str, Any]:
    """Describe where the numbers come from and how to reproduce them, for the template."""
    search, hardware, seed = run.search, run.search.hardware, run.search.settings.seed
    exact = (
        "exactly"
        if hardware.slots == 1
        else "closely, as trials that run side by side end in any order"
    )
    facts = [
        ("seed", "" if seed is None else str(seed)),
        ("data digest", search.data.digest[:16]),
        ("backbones", ", ".join(f"{k} {v}" for k, v in search.backbones.items())),
        (
            "machine",
            f"{hardware.machines} x {hardware.system}, {hardware.cpus:g} CPUs, "
            f"{hardware.gpus:g} GPUs, {hardware.slots} slots",
        ),
        ("versions", ", ".join(f"{name} {found}" for name, found in search.versions.items())),
    ]
    if code := search.code:
        changed = ", with changes that are not committed" if code.changed else ""
        facts.append(("code", f"{code.commit[:12]}{changed}"))
    return {
        "command": search.command,
        "repeat_note": f"On the same machine, data and versions it repeats {exact}.",
        "origin": facts,
        "notes": list(search.notes),
    }
