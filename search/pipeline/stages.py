"""The stages after the trials: what is done already is not done again.

A stage is identified by its name and all that its result depends on. The run folder keeps both
with the result, so that a resumed search repeats a stage only when something before it changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from analysis.run_folder.stage_record import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from analysis.run_folder.folder import RunFolder


def once(
    folder: RunFolder,
    stage: str,
    depends_on: Mapping[str, Any],
    work: Callable[[], dict[str, Any]],
    leaves: Sequence[Path] = (),
) -> dict[str, Any]:
    """Do the work of a stage, unless the run folder says that it is done.

    Args:
        folder: The run folder.
        stage: Its name.
        depends_on: All that its result depends on, JSON-ready.
        work: Does it and returns its result, JSON-ready; writes its files before it returns.
        leaves: Files that must exist for the stage to count as done.

    Returns:
        The result, new or kept.
    """
    done = folder.read_stages()
    before = done.get(stage)
    ground = json.loads(json.dumps(dict(depends_on)))  # as it is read back
    whole = all(path.exists() for path in leaves)
    if before is not None and whole and before.depends_on == ground:
        return dict(before.result)
    if before is not None:  # a kill in the middle must not leave the old word for the new files
        folder.write_stages({name: entry for name, entry in done.items() if name != stage})
    result = work()
    entry = Stage(depends_on=ground, result=result)
    folder.write_stages({**folder.read_stages(), stage: entry})
    return result
