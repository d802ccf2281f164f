"""What the search takes of Ray that is not public, as it must go on to be."""

from __future__ import annotations

import inspect
import signal
from typing import TYPE_CHECKING

import ray
from ray._private import ray_constants, services, utils
from ray._private.node import Node
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationMode,
    AuthenticationTokenLoader,
    get_authentication_mode,
)
from ray.tune.execution.class_cache import _ActorClassCache

from search.cluster import connection
from search.tune.tuner import in_any_process

if TYPE_CHECKING:
    import pytest


def test_ray_takes_the_loopback_address_where_it_is_no_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR == "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    assert services.get_node_ip_address() == "127.0.0.1"


def test_ray_knows_what_auto_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert services.canonicalize_bootstrap_address("auto") == "10.0.0.1:6379"
    assert services.canonicalize_bootstrap_address("10.0.0.2:6379") == "10.0.0.2:6379"


def test_ray_takes_sigterm_by_the_one_function_that_is_put_aside() -> None:
    source = inspect.getsource(inspect.unwrap(ray.init))
    assert "ray._private.utils.set_sigterm_handler(" in source
    assert "signal.signal(" not in source
    before = signal.getsignal(signal.SIGTERM)
    try:
        utils.set_sigterm_handler(signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        with connection._own_signals():
            utils.set_sigterm_handler(signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ray_starts_what_no_one_asks_by_methods_that_are_put_aside() -> None:
    source = inspect.getsource(Node)
    for name in ("start_api_server", "start_monitor", "start_log_monitor"):
        assert f"self.{name}(" in source
    before = Node.start_api_server
    with connection._what_is_needed():
        assert Node.start_api_server is not before
    assert Node.start_api_server is before


def test_tune_asks_for_variables_of_a_trials_process_by_two_names_that_are_put_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")

    def asked() -> dict[str, str]:
        remote = _ActorClassCache().get(type("Trainable", (), {}))
        variables: dict[str, str] = remote._default_options["runtime_env"].get("env_vars", {})
        return variables

    assert asked()["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    with in_any_process():
        assert asked() == {}
    assert asked()["RAY_CHDIR_TO_TRIAL_DIR"] == "0"


def test_ray_reads_again_how_it_authenticates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for token in ("a" * 64, "b" * 64):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        connection._read_again()
        assert get_authentication_mode() == AuthenticationMode.TOKEN
        assert AuthenticationTokenLoader.instance().get_raw_token() == token
    monkeypatch.undo()
    connection._read_again()
