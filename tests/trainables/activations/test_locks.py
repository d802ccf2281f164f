"""Locks: held by one, and by nobody once their file is gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from trainables.activations.locks import locked, locked_if_free

if TYPE_CHECKING:
    from pathlib import Path


def test_a_lock_that_is_held_is_not_free(tmp_path: Path) -> None:
    path = tmp_path / "key.lock"
    with locked_if_free(path) as free:
        assert free
        assert not path.exists()
    with locked(path), locked_if_free(path) as free:
        assert not free
    with locked_if_free(path) as free:
        assert free


def test_who_waited_for_a_lock_that_was_removed_holds_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "key.lock"
    held = threading.Event()

    def wait() -> None:
        with locked(path), locked_if_free(path) as free:
            if not free:  # it is the file of that name which is locked
                held.set()

    with locked(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(timeout=0.1)
        path.unlink()
    waiting.join(timeout=10)
    assert held.is_set()
