"""What must be as it was when a search goes on, and what its attempts ran on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search.errors import SettingsError
from search.provenance import data_record, split_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from search.settings import DataSettings
    from trainables.data.sample import Corpus, Fold


def with_attempts(record: dict[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Add to the record of a search what its earlier attempts ran on.

    Args:
        record: What `search_record` says of this attempt.
        before: What the run folder holds; None for a new search.

    Returns:
        The record with `attempts`, this one last.
    """
    own = ("started", "hardware", "versions", "code")
    attempt = {name: record[name] for name in own} | {"trials": record["settings"]["trials"]}
    return record | {"attempts": [*(before or {}).get("attempts", []), attempt]}


def refuse_other_data(
    before: Mapping[str, Any], asked: DataSettings, corpus: Corpus, folds: Sequence[Fold]
) -> None:
    """Refuse to go on with a search on other data than it was begun with.

    Args:
        before: What the run folder holds.
        asked: What the search asks of the data.
        corpus: The data now.
        folds: The splits now.

    Raises:
        SettingsError: If the data or the splits differ.
    """
    now, then = data_record(corpus), before["data"]
    if now["digest"] != then["digest"]:
        msg = (
            f"--data must be those that the search was begun with, {then['labelled']:,} labelled"
            f" and {then['unlabelled']:,} to predict with digest {then['digest']}, got"
            f" {now['labelled']:,} and {now['unlabelled']:,} with digest {now['digest']}"
        )
        raise SettingsError(msg)
    if split_record(asked, folds) != before["split"]:
        msg = "the split must be the one that the search was begun with, got another"
        raise SettingsError(msg)


def refuse_other_backbones(before: Mapping[str, Any], fingerprints: Mapping[str, str]) -> None:
    """Refuse to go on with a search with other backbones than it was begun with.

    Args:
        before: What the run folder holds.
        fingerprints: Of the backbones now, by role.

    Raises:
        SettingsError: If those of a role differ.
    """
    then = before.get("backbone_fingerprints", {})
    faults = [
        f"--backbone {role} must be what the search was begun with (weights, config, tokenizer,"
        " preprocessor), got another"
        for role, fingerprint in fingerprints.items()
        if then.get(role, fingerprint) != fingerprint
    ]
    if faults:
        raise SettingsError("\n".join(faults))
