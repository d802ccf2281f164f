"""Where each second of a whole search goes: forty frozen trials on five folds, to predictions.

    python -m tests.benchmarks.coffee --data DATA --backbone text=DIR --backbone image=DIR
    python -m tests.benchmarks.coffee --model late_fusion --trials 12

The words are those of `search.run`; `--trials 40 --folds 5 --epochs 5 --grace-epochs 1` stand
before them, and what the model has of unfrozen layers is fixed at none. Without `--cache`, the
activations are built, too. The machine must be idle; core-seconds hold beside other work, nearly.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.run import load
from search.config.plan import make_plan
from search.config.settings import parse
from tests.benchmarks.reporting import machine, show
from tests.benchmarks.searches import trial_times
from tests.benchmarks.steps import TRIALS, Step, take_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNFROZEN = "_unfrozen_layers"


def frozen_words(words: Sequence[str], folder: Path) -> list[str]:
    """Complete the words of a search by those of forty frozen trials on five folds.

    Args:
        words: Of the user; what they say again holds.
        folder: Of the results, and of the cache where the words name none.

    Returns:
        The words after `python -m search.run`.
    """
    given = ["--trials", "40", "--folds", "5", "--epochs", "5", "--grace-epochs", "1"]
    given += ["--model", "early_fusion", "--cache", str(folder / "cache"), *words]
    given += ["--out", str(folder / "run")]
    space = make_plan(parse(given)).space
    names = [name for name in space if name.endswith(_UNFROZEN) and name not in " ".join(words)]
    return given + [word for name in names for word in ("--fix", f"{name}=0")]


def inside_trials(
    seconds: float, epochs: float, spans: Sequence[tuple[float, float]]
) -> list[Step]:
    """Part the time of the trials' step into training, the rest of a trial, and waiting.

    Args:
        seconds: Of the step, from the end of the step before.
        epochs: Seconds that the epochs of all trials took together.
        spans: When each trial began and ended.

    Returns:
        Three rows, of wall-clock seconds: where several trials ran at a time, each second is
        parted among them. Their core-seconds are not known (0).
    """
    held, busy = sum(end - start for start, end in spans), _covered(spans)
    share = busy / held if held else 0.0
    return [
        Step("  epochs", epochs * share, 0.0),
        Step("  rest of a trial", (held - epochs) * share, 0.0),
        Step("  no trial running", seconds - busy, 0.0),
    ]


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return the seconds in which at least one of the spans lasted."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    _, words = parser.parse_known_args()
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = take_steps(frozen_words(words, folder))
        run = load(folder / "run")
        trials = next(step.seconds for step in steps if step.name == TRIALS)
        epochs = float(run.history["epoch_seconds"].sum())
        inside = inside_trials(trials, epochs, trial_times(folder / "run"))
        score = run.best.confirmed.score if run.best and run.best.confirmed else None
        precision = RunFolder(folder / "run").read_search().precision.training
    whole = Step("whole", sum(s.seconds for s in steps), sum(s.core_seconds for s in steps))
    rows = []
    for step in [*steps, whole]:
        rows.append(_row(step, whole.seconds))
        rows += [_row(one, whole.seconds) for one in inside if step.name == TRIALS]
    record: dict[str, Any] = {
        "machine": where,
        "precision": precision,
        "words": words,
        "steps": [step._asdict() for step in steps],
        "inside_trials": [step._asdict() for step in inside],
        "confirmed": score,
    }
    title = "A whole search of frozen trials"
    note = f"confirmed {run.objective}: {score:.4f}" if score is not None else ""
    show(title, ("", "seconds", "share", "core-seconds"), rows, record, note)


def _row(step: Step, whole: float) -> list[str]:
    used = f"{step.core_seconds:.1f}" if step.core_seconds else ""
    return [step.name, f"{step.seconds:.1f}", f"{step.seconds / whole:.0%}", used]


if __name__ == "__main__":
    main()
