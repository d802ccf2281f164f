"""Where Ray's files of a search are: in a folder, and behind pyarrow and fsspec."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ray.tune import Callback

from search.cluster.resources import TrialResources
from search.config.checkpoint_storage import below
from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import SettingsError
from search.study.trial import outcomes
from search.tune.checkpoints import Attempts
from search.tune.tuner import open_search
from spaces.space import Space
from trainables.hyperparameter import FloatRange, Hyperparameter
from trainables.trainable import RESUME_FROM, STATE, read_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from search.tune.tuner import Search

PLACES = ["", "file://", "fsspec+file://"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}{tmp_path / 'ray'}"


def save(folder: Path, name: str) -> None:
    import torch

    (folder / name).mkdir(parents=True)
    torch.save({"epoch": len(name)}, folder / name / STATE)


def test_a_trial_goes_on_from_its_newest_checkpoint(
    place: str, make_fake_ray: Callable[..., Any], tmp_path: Path
) -> None:
    newest = "attempt-10/trial-0/checkpoint_000000"
    for name in ("attempt-2/trial-0/checkpoint_000001", newest):
        save(tmp_path / "ray", name)
    save(tmp_path / "ray", "attempt-2/trial-7/checkpoint_000003")
    (tmp_path / "ray/attempt-11/trial-0/checkpoint_000000").mkdir(parents=True)  # torn by a kill
    found = Attempts(place).checkpoints()
    other = "attempt-2/trial-7/checkpoint_000003"
    assert found == {0: f"{place}/{newest}", 7: f"{place}/{other}"}
    assert read_state(found[0]) == {"epoch": len(newest)}
    ray = make_fake_ray(checkpoints=found)
    assert ray.start().config[RESUME_FROM] == f"{place}/{newest}"
    assert RESUME_FROM not in ray.start().config
    assert ray.study.trials[0].params == {"rate": 0.5, "width": 2}


def test_states_of_trials_that_are_done_are_removed(place: str, tmp_path: Path) -> None:
    for number in (0, 1, 10):
        save(tmp_path / "ray", f"attempt-1/trial-{number}/checkpoint_000000")
    Attempts(place).forget({0, 10})
    assert set(Attempts(place).checkpoints()) == {1}
    assert [path.parent.parent.name for path in tmp_path.rglob(STATE)] == ["trial-1"]


def test_attempts_are_numbered_on(place: str, tmp_path: Path) -> None:
    assert Attempts(place).next_name() == "attempt-1"
    for name in ("attempt-1", "attempt-9", "attempt-x", "attempt-9/attempt-12"):
        (tmp_path / "ray" / name).mkdir(parents=True)
    assert Attempts(place).next_name() == "attempt-10"


def test_a_checkpoint_that_is_not_there_is_none() -> None:
    assert read_state("/no/such/folder") is None
    assert read_state("file:///no/such/folder") is None
    assert read_state("nosuch://folder") is None


def test_options_of_a_uri_stay_at_its_end() -> None:
    assert below("s3://bucket/a/?region=eu", "run") == "s3://bucket/a/run?region=eu"
    assert below("/a/", "run") == "/a/run"


def test_each_run_has_a_folder_of_its_own_and_goes_on_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "--model early_fusion --data demo --out run --storage shared"
    one, two = (make_plan(parse(words.split())) for _ in range(2))
    assert one.storage == str(tmp_path / "shared" / one.name)
    assert one.storage != two.storage
    assert one.settings.resources.storage == str(tmp_path / "shared")
    without = make_plan(parse(words.split()[:-2]))
    assert without.storage == str(tmp_path / "run" / "ray")


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("nosuch://a/b", "got nosuch://a/b/runs-"),
        ("/proc/none", "got /proc/none/runs-"),
        ("s3://me:s3cret@bucket/path", "--storage must be without a key, got s3://...: it would"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    storage: str, message: str, tmp_path: Path, refused: Callable[[str], str]
) -> None:
    error = refused(f"--out runs --storage {storage}")
    assert message in error
    assert "s3cret" not in error
    assert not (tmp_path / "runs").exists()


def test_a_filesystem_that_pyarrow_does_not_know_is_named() -> None:
    with pytest.raises(SettingsError, match="Unrecognized filesystem type in URI: nosuch://a"):
        Attempts("nosuch://a")


def make_trainable() -> type:
    from ray import tune
    from ray.tune.result import SHOULD_CHECKPOINT

    class Toy(tune.Trainable):  # type: ignore[misc]  # local, so that Ray pickles it by value
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            state = read_state(new_config[RESUME_FROM]) if RESUME_FROM in new_config else None
            self.epoch = 0 if state is None else state["epoch"]
            return True

        def step(self) -> dict[str, Any]:
            time.sleep(0.2)
            self.epoch += 1
            report = {"epoch": self.epoch, "diverged": "", "val_weighted_f1": self.epoch / 100}
            return report | {"done": self.epoch == 20, SHOULD_CHECKPOINT: True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            import torch

            torch.save({"epoch": self.epoch}, f"{checkpoint_dir}/{STATE}")

    return Toy


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_search_goes_on_from_checkpoints_behind_fsspec(tmp_path: Path) -> None:
    words = (
        "--model early_fusion --data demo --epochs 20 --trials 1 --scheduler none"
        f" --out {tmp_path / 'run'} --storage fsspec+file://{tmp_path / 'shared'}"
    )
    plan = make_plan(parse(words.split()))
    plan = replace(
        plan,
        space=Space([Hyperparameter("rate", 0.5, FloatRange(0, 1))]),
        hand_tuned={"rate": 0.5},
    )
    plan.folder.path.mkdir()
    Attempts(plan.storage).make()
    epochs: list[list[int]] = []

    class Cut(Callback):  # type: ignore[misc]  # Ray has no types
        def __init__(self, search: Search, last: int) -> None:
            self.search, self.last = search, last

        def on_trial_result(self, *, result: dict[str, Any], **_: Any) -> None:
            epochs[-1].append(result["epoch"])
            if result["epoch"] == self.last:
                self.search.stopper.reason = "interrupted"

        def __getstate__(self) -> dict[str, Any]:
            return {}

    for last in (8, 99):
        epochs.append([])
        search = open_search(plan, math.inf, lambda: 1)
        resources = TrialResources(cpus=1, gpus=0, slots=1)
        search.run(make_trainable(), resources, [Cut(search, last)])
    assert epochs[0][0] == 1
    assert epochs[1][0] >= 7, "no more is lost than what was being written"
    assert epochs[1][-1] == 20
    assert outcomes(search.records) == 1
    found = Attempts(plan.storage).checkpoints()
    assert set(found) == {0}
    assert found[0].startswith(f"fsspec+file://{tmp_path}/shared/{plan.name}/attempt-2/")
    assert not plan.folder.ray.exists()
