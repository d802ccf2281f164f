"""`search.json` and `best.json` as plain JSON, so that tests hold what is in the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from analysis.run_folder.best_record import Best
from analysis.run_folder.digests import keep_digests
from analysis.run_folder.io import write_json
from analysis.run_folder.records import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.run_folder.folder import RunFolder


def write_search(folder: RunFolder, record: Mapping[str, Any]) -> None:
    keep_digests(folder.path)
    write_json(folder.search, record)


def read_search(folder: RunFolder) -> dict[str, Any]:
    return dict(json.loads(folder.search.read_text()))


def write_best(folder: RunFolder, record: Mapping[str, Any]) -> None:
    write_json(folder.best, record)


def read_best(folder: RunFolder) -> dict[str, Any]:
    return dict(json.loads(folder.best.read_text()))


def best_of(**record: Any) -> Best:
    return from_json(Best, record)
