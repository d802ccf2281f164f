"""The search: Optuna draws the trials, Ray runs them, the best is trained and shipped.

From Python, `search.search(model="early_fusion", trials=12, data=frame)` returns a run.
"""

import importlib
import importlib.util
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.python_api import Run, search

__all__ = ["Run", "search"]


def __getattr__(name: str) -> Any:
    """Import lazily: a command's `--help` must not wait for pandas."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module("search.python_api"), name)


def _refuse_shadows() -> None:
    """End a command that would import a file of the user's in place of one of our packages.

    Python looks in the folder where it is started before it looks where we are installed.
    """
    home = Path(__file__).parents[1]
    for package in ("analysis", "spaces", "trainables"):
        found = importlib.util.find_spec(package)
        if found and found.origin and not Path(found.origin).is_relative_to(home / package):
            sys.stderr.write(
                f"error: {found.origin} hides the package {package} of this program; rename it,"
                " or run from another folder\n"
            )
            sys.exit(2)


if sys.argv[:1] == ["-m"]:  # so it is while `python -m search.NAME` looks for NAME
    _refuse_shadows()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback until a command handles it
