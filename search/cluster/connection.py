"""Start Ray here or join a cluster, without Ray's output, and leave it at the end.

A Ray started here listens on the loopback interface only, with a token that is in no file, and
needs no home folder.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

# Private, each for the reason given where it is used; tests/search/cluster/test_ray_contract.py
# notices when one of them goes or means something else.
from ray._private import node as ray_node
from ray._private import ray_constants, services, utils
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from search import interrupts
from search.cluster.resources import RETRIES, alive
from search.config.address import HERE
from search.errors import ClusterError, is_disk_full, one_line

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping

    from search.cluster.resources import Node


_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0, no tables on the console
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # our own view names them
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own callback writes the tables
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # else one missing metric ends the search
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # our own handler knows that it was the user
    # Our own searcher gives out no more trials than can run; by Ray's default it would wait for
    # each to start before it asks for the next, and an idle worker would take that from it.
    "TUNE_MAX_PENDING_TRIALS_PG": "10000",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": str(RETRIES),  # else a task that lacks memory is retried for ever
    "TOKENIZERS_PARALLELISM": "false",  # workers fork; Ray already shares out the CPUs
}
# Of a Ray that is started here: processes begin early and last, as each takes seconds to import.
_HERE = {
    # Where there are more processes than CPUs, one ends that was idle for so long: the tasks after
    # the trials of a short search find those of before, a long search gets their memory back.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}
_PRELOADED = ("torch", "torchvision", "transformers.modeling_utils", "ray.tune")
_MOST_PRELOADED = 4  # processes, of half a gigabyte each
_CONNECT_TIMEOUT_SECONDS = 10.0
_SECONDS_BETWEEN_LOOKS = 1.0
_UNREACHABLE_SECONDS = 40.0  # after sixty, Ray ends the process
_PACKAGES = ("search", "trainables", "spaces", "analysis")
# By name, as what is beside them may be a secret (HF_TOKEN), and all can read what Ray is told.
_FORWARDED = frozenset(
    {
        *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HUGGINGFACE_HUB_CACHE"),
        *("TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE", "TORCH_HOME", "XDG_CACHE_HOME"),
    }
)


@contextmanager
def connected(address: str | None) -> Iterator[list[Node]]:
    """Start Ray on this machine, or join the cluster at `HOST:PORT`, and leave it at the end.

    Yields:
        The machines that are alive.

    Raises:
        ClusterError: If Ray does not start, or the cluster cannot be joined.
        KeyboardInterrupt: If a signal asks for the end while Ray starts.
        OSError: If the disk is full.
    """
    with ExitStack() as own:
        if not (_KEPT and ray.is_initialized()):
            own.enter_context(_connection(address))
        nodes = alive()
        if _KEPT and not any(node.gpus for node in nodes):
            _KEPT[-1].push(own.pop_all())
        yield nodes


_KEPT: list[ExitStack] = []


@contextmanager
def kept() -> Iterator[None]:
    """Keep what is connected first in this context for all that connect after it, until the end.

    Searches one after another then share Ray's processes, which have imported what they need.
    Where there are GPUs they do not: a process holds what it took of one until it ends.
    """
    with ExitStack() as stack:
        _KEPT.append(stack)
        try:
            yield
        finally:
            _KEPT.remove(stack)


@contextmanager
def _connection(address: str | None) -> Iterator[None]:
    with _environment(address):
        try:
            _start(address)
            logging.getLogger("ray").setLevel(logging.CRITICAL)
            with _watching(address):
                yield
        finally:
            with interrupts.only_our_words(), interrupts.torn_down():
                ray.shutdown()


def _start(address: str | None) -> None:
    try:
        _check_listening(address)
        with interrupts.put_off(), _own_signals(), _what_is_needed():
            try:
                ray.init(**_options(address))
            finally:
                interrupts.take_back()  # from Ray's core, which would dump its stack and abort
    except Exception as error:  # Ray raises many types, and Exception itself when it is slow
        if is_disk_full(error):
            raise
        where = "start on this machine" if address is None else f"be joined at {address}"
        msg = f"Ray cannot {where}: {one_line(error)}"
        raise ClusterError(msg) from error


@contextmanager
def _watching(address: str | None) -> Iterator[None]:
    """End the process with a one-line message when Ray's own processes are gone.

    Ray would wait for minutes, and then end it with a page of its logs. There is nothing to clean
    up without them: what is on the disk is what is kept, as after any kill.
    """
    done = threading.Event()
    cause = _loss_here() if address is None else _loss_of(address)

    def watchdog() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            if lost := cause():
                interrupts.leave_at_once(f"{lost}{interrupts.last_words()}", 1)

    thread = threading.Thread(target=watchdog, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _servers() -> dict[str, subprocess.Popen[bytes]]:
    # Ray tells no one which processes it has started.
    started = ray._private.worker._global_node.all_processes
    return {kind: started[kind][0].process for kind in ("gcs_server", "raylet")}


def _loss_here() -> Callable[[], str]:
    servers = _servers()

    def look() -> str:
        gone = [kind for kind, process in servers.items() if process.poll() is not None]
        return f"Ray has ended: its {gone[0]} on this machine was killed" if gone else ""

    return look


def _loss_of(address: str) -> Callable[[], str]:
    reached = time.monotonic()

    def look() -> str:
        nonlocal reached
        try:
            _check_listening(address)
            reached = time.monotonic()
        except OSError:
            if time.monotonic() - reached > _UNREACHABLE_SECONDS:
                return f"the Ray cluster at {address} is gone"
        return ""

    return look


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our handler of SIGTERM, which Ray replaces by one that may end the process at once.

    Ray offers no option for it; a signal that comes before our handler is back is lost.
    """
    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


@contextmanager
def _what_is_needed() -> Iterator[None]:
    """Keep Ray from starting its dashboard, autoscaler and reader of logs, which no one asks here.

    It has no public way to leave them out, and waits for some before it starts the next.
    """
    names = ("start_api_server", "start_monitor", "start_log_monitor")
    before = {name: getattr(ray_node.Node, name) for name in names}
    for name in names:
        setattr(ray_node.Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(ray_node.Node, name, method)


@contextmanager
def _environment(address: str | None) -> Iterator[None]:
    """Set environment variables for Ray and its workers, and restore them at the end."""
    before, was_reachable = dict(os.environ), ray_constants.ENABLE_RAY_CLUSTER
    variables = _ENVIRONMENT if address is not None else _ENVIRONMENT | _of_our_own(before)
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    if address is None:
        # Read at import too; a node's address alone (`_node_ip_address`) leaves ports open to all.
        ray_constants.ENABLE_RAY_CLUSTER = False
    _read_again()
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was_reachable
        for name in variables.keys() - before.keys():
            os.environ.pop(name, None)
        _read_again()


def _of_our_own(environment: Mapping[str, str]) -> dict[str, str]:
    own = _HERE | _shut_off(environment)
    if utils.get_num_cpus() <= _MOST_PRELOADED:
        own["RAY_preload_python_modules"] = ",".join(_PRELOADED)
    return own


def _shut_off(environment: Mapping[str, str]) -> dict[str, str]:
    """Return options that keep others out of a Ray started here: the network and a token."""
    own = {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", "RAY_AUTH_MODE": "token"}
    if not environment.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        own["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # Ray would write one to the user's home
    return own


def _read_again() -> None:
    # Ray has read how it authenticates when it was imported, or for a search before this one, and
    # has no public way to read it again: it expects to be told before Python imports it.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _check_listening(address: str | None) -> None:
    """Raise at once if nothing listens at an address: Ray would retry for minutes."""
    if address is None:
        return
    # What `auto` stands for is known to Ray alone.
    whole = services.canonicalize_bootstrap_address(address)
    host, _, port = str(whole or "").rpartition(":")
    if host:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_SECONDS).close()


def _options(address: str | None) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:  # without a word, Ray would join what others have started here
        return quiet | {"address": HERE, "include_dashboard": False}
    code = Path(__file__).parents[2]
    environment = {
        "env_vars": _ENVIRONMENT | dict(_forwarded(os.environ)),
        "py_modules": [str(code / package) for package in _PACKAGES],
    }
    return quiet | {"address": address, "runtime_env": environment}


def _forwarded(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted(environment.keys() & _FORWARDED):
        if "@" not in environment[name]:  # a URL may hold a password
            yield name, environment[name]
