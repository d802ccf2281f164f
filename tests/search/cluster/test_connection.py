"""How a search starts or joins Ray: what it reads, who can reach it, what it says."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import ray
from ray.exceptions import RaySystemError

from search import interrupts
from search.cluster import connection
from search.cluster.connection import connected, kept
from search.cluster.resources import Node
from search.config.address import address_faults, chosen_address, joining, room_faults
from search.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def raising(error: Exception) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    return refuse


@pytest.fixture
def open_port() -> Iterator[str]:
    """An address that something listens at, which is no Ray."""
    with socket.create_server(("", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionError("no\none"), "ConnectionError: no one"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/tmp/ray"),
            "PermissionError: .*ray'",
        ),
        (TimeoutError("too slow"), "TimeoutError: too slow"),
        (subprocess.CalledProcessError(1, "gcs_server"), "CalledProcessError: .*status 1."),
        (RaySystemError("died"), "RaySystemError: .*died"),
        (AssertionError(), "AssertionError: no message"),
        (Exception("the current node timed out"), "Exception: the current node timed out"),
    ],
)
def test_whatever_keeps_ray_from_starting_is_told_in_one_line(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, open_port: str
) -> None:
    monkeypatch.setattr(ray, "init", raising(error))
    places = ((None, "start on this machine"), (open_port, f"be joined at {open_port}"))
    for address, where in places:
        with (
            pytest.raises(ClusterError, match=f"^Ray cannot {where}: {told}$"),
            connected(address),
        ):
            pass


def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", raising(AssertionError("never asked")))
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told = rf"^Ray cannot be joined at {address}: ConnectionRefusedError: "
        with pytest.raises(ClusterError, match=told), connected(address):
            pass


def test_a_disk_too_full_for_ray_is_told_as_any_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/ray")
    monkeypatch.setattr(ray, "init", raising(full))
    with pytest.raises(OSError, match="No space left") as error, connected(None):
        pass
    assert error.value is full


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], dict[str, Any]]:
    """Give what Ray is told at its start, and what it reads of the environment."""
    told: dict[str, Any] = {}

    def note(**words: Any) -> None:
        told.update(words, environment=dict(os.environ))
        msg = "enough"
        raise RuntimeError(msg)

    def start(address: str | None) -> dict[str, Any]:
        monkeypatch.setattr(ray, "init", note)
        with pytest.raises(ClusterError, match="enough"), connected(address):
            pass
        return told

    return start


def test_ray_here_joins_no_one_and_lets_no_one_in(
    options: Callable[[str | None], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    told = options(None)
    assert told["address"] == "local"  # else Ray joins what another has started here
    assert told["environment"]["RAY_AUTH_MODE"] == "token"
    tokens = {
        told["environment"]["RAY_AUTH_TOKEN"],
        options(None)["environment"]["RAY_AUTH_TOKEN"],
    }
    assert {len(token) for token in tokens} == {64}
    assert len(tokens) == 2
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert connection.ray_constants.ENABLE_RAY_CLUSTER
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    assert options(None)["environment"]["RAY_AUTH_TOKEN"] == "mine"


def test_what_a_cluster_is_told_holds_no_secret(
    options: Callable[[str | None], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    open_port: str,
) -> None:
    secrets = {"HF_TOKEN": "hf_1", "HUGGING_FACE_HUB_TOKEN": "hf_2", "AWS_SECRET_ACCESS_KEY": "a"}
    secrets |= {
        "HF_ENDPOINT": "https://me:word@mirror",
        "HF_TOKEN_PATH": "/t",
        "WANDB_API_KEY": "w",
    }
    for name, value in {**secrets, "HF_HOME": "/models", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    told = options(open_port)["runtime_env"]["env_vars"]
    assert (told["HF_HOME"], told["HF_HUB_OFFLINE"]) == ("/models", "1")
    assert not secrets.keys() & told.keys()
    assert "RAY_AUTH_TOKEN" not in told


@pytest.mark.parametrize(
    ("asked", "variable", "address"),
    [
        (None, None, None),
        (None, "10.0.0.1:6379", "10.0.0.1:6379"),
        (None, "", None),
        (None, "auto", "auto"),
        ("b:1", "a:1", "b:1"),
        ("local", "a:1", None),
    ],
)
def test_the_variable_of_ray_counts_where_no_address_is_given(
    asked: str | None, variable: str | None, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert chosen_address(asked) == address
    assert list(address_faults(asked)) == []
    said = joining(asked)
    assert bool(said) == (asked is None and address is not None)
    assert not said or f"RAY_ADDRESS, {address}; --address local" in said


def test_addresses_that_are_none_are_told_by_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    assert list(address_faults(None)) == [
        "RAY_ADDRESS must be HOST:PORT, auto or local, got 'ray://head:10001';"
        " unset it, or give --address local to start Ray here"
    ]
    for wrong in ("host", "host:99999", "host:0", "/tmp/x:1"):
        (fault,) = address_faults(wrong)
        assert fault == f"--address must be HOST:PORT, auto or local, got {wrong!r}"


def test_a_folder_in_which_ray_has_no_room_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    assert list(room_faults()) == []
    long = tmp_path / ("x" * 60)
    monkeypatch.setenv("TMPDIR", str(long))
    (fault,) = room_faults()
    assert fault.startswith("TMPDIR must be a path of at most ")
    assert str(long) in fault
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    (fault,) = room_faults()
    assert fault.startswith("RAY_TMPDIR must be a folder that can be written, got /nowhere;")
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert list(room_faults()) == []


def test_a_sigterm_while_ray_starts_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        ray._private.utils.set_sigterm_handler(lambda *_: exit(15))  # as Ray does
        signal.raise_signal(signal.SIGTERM)
        ended.append(True)

    ended: list[bool] = []
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(False))
    with interrupts.handled():
        with pytest.raises(KeyboardInterrupt), connected(None):
            pass
        assert (interrupts.exit_code(), interrupts.words()) == (143, "ended by SIGTERM")
    assert ended == [True, False], "what has started is ended, and not torn while it starts"


def listening() -> set[str]:
    """The addresses that this process and all below it listen at."""
    this = psutil.Process()
    return {
        bound.laddr.ip
        for process in (this, *this.children(recursive=True))
        for bound in process.net_connections("inet")
        if bound.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
@pytest.mark.usefixtures("own_ray")
def test_ray_here_listens_on_the_loopback_alone_needs_no_home_and_leaves_signals_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "a file"))
    (tmp_path / "a file").touch()
    with interrupts.handled(), connected(None) as nodes:
        assert len(nodes) == 1
        found = listening()
        servers = {name: process.poll() for name, process in connection._servers().items()}
        assert servers == {"gcs_server": None, "raylet": None}, "they are watched"
        commands = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
        assert any("raylet" in command for command in commands)
        unneeded = ("dashboard/dashboard.py", "monitor.py", "log_monitor.py")
        assert not [c for c in commands for name in unneeded if name in c]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)  # Ray's core would dump its stack and abort
    assert found
    assert found <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.mark.slow
@pytest.mark.usefixtures("own_ray")
def test_processes_import_ahead_of_their_work_and_serve_one_task_after_another() -> None:
    def work() -> tuple[bool, int]:
        return "torch" in sys.modules, os.getpid()

    remote = ray.remote(num_cpus=1)(work)
    with connected(None):
        (ahead, first), (_, second) = ray.get(remote.remote()), ray.get(remote.remote())
    assert ahead == (os.cpu_count() <= 4)
    assert first == second


def test_searches_one_after_another_keep_the_connection_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []

    @contextmanager
    def scripted(address: str | None) -> Iterator[None]:
        happened.append(f"begins {address}")
        yield
        happened.append("ends")

    gpus = 0.0
    monkeypatch.setattr(connection, "_connection", scripted)
    monkeypatch.setattr(connection, "alive", lambda: [Node("here", cpus=2, gpus=gpus)])
    monkeypatch.setattr(ray, "is_initialized", lambda: happened[-1:] not in ([], ["ends"]))
    with kept():
        assert happened == []
        for number in range(3):
            with connected(None):
                happened.append(f"search {number}")
    assert happened == ["begins None", "search 0", "search 1", "search 2", "ends"]
    gpus = 1.0
    for several in (nullcontext, kept):
        del happened[:]
        with several():
            for _ in range(2):
                with connected(None):
                    pass
        assert happened == ["begins None", "ends"] * 2, "a process holds a GPU until it ends"
