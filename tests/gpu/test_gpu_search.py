"""Whole searches on one GPU: it is shared as asked, or left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("ray", reason="trials are trained without Ray here")

from analysis.run_folder.folder import RunFolder
from tests.search.command import QUICK, Command

if TYPE_CHECKING:
    from pathlib import Path

    import torch

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.mark.parametrize(
    ("asked", "share"), [("1", 1.0), ("0.5", 0.5), ("0.25", 0.25), ("auto", None), ("0", 0.0)]
)
def test_trials_share_a_gpu_as_asked(
    cuda: torch.device,  # noqa: ARG001 - it must be there
    tmp_path: Path,
    asked: str,
    share: float | None,
) -> None:
    command = Command(tmp_path, tmp_path / "cache")
    words = QUICK.replace("--max-concurrent 1", "--cpus-per-trial 1")
    code, out, errors = command.run(f"{words} --trials 6 --gpus-per-trial {asked} --out run")
    assert (code, errors) == (0, ""), out
    folder = RunFolder(tmp_path / "run")
    trials = folder.read_trials()
    assert trials["trial"].tolist() == list(range(6))
    assert set(trials["fate"]) <= {"finished", "stopped"}
    if share is not None:
        assert folder.read_search().hardware.gpus_per_trial == share


def test_a_dry_run_says_what_memory_of_the_gpu_a_trial_takes(
    cuda: torch.device,  # noqa: ARG001 - it must be there
    tmp_path: Path,
) -> None:
    command = Command(tmp_path, tmp_path / "cache")
    code, out, errors = command.run(f"{QUICK} --dry-run --trials 6 --out run")
    assert (code, errors) == (0, ""), out
    heaviest = next(line.split() for line in out.splitlines() if "heaviest" in line)
    assert 0 < float(heaviest[3].replace(",", "")) < 500, "the process holds more on the host"
