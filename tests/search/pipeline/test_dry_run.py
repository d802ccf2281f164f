from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from search.cluster.resources import TrialResources
from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.dry_run import lines

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TOLD = {
    "bytes": 2_500_000_000,
    "files": 3,
    "build_seconds": 125.0,
    "free_bytes": 90_000_000_000,
    "lightest": {"seconds": 10.0},
    "heaviest": {"seconds": 60.0},
}


def test_the_costs_are_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(parse(["--model", "early_fusion", "--data", "demo", "--trials", "7"]))
    experiment: Any = SimpleNamespace(corpus=SimpleNamespace(samples=range(4511)))
    resources = TrialResources(cpus=1, gpus=0, slots=2)
    assert lines(TOLD, plan, experiment, resources) == [
        "frozen activations of 4,511 samples: 2.5 GB in 3 files (90.0 GB free), built in about"
        " 2:05 per machine where they are missing",
        "rung zero: 2 logistic regressions before the first trial",
        "7 trials, 2 at a time: 0:40 to 4:00 if all ran in full; ASHA ends most trials sooner",
        "dry run: nothing was searched",
    ]
    told = {**TOLD, "files": 0}
    assert len(lines(told, plan, experiment, resources)) == 3
