"""What ships of several models: the chosen one's own, with a card that says how it was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from search.selection.model_choice import choose_model, comparable
from search.selection.shipped_model import card_among_models, ship_chosen
from tests.search.selection.several import GUIDS, write_all
from tests.search.selection.test_model_choice import RIGHTS, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return write_all(tmp_path / "all", RIGHTS)


def test_the_chosen_models_own_model_and_predictions_are_at_the_top(folder: RunFolder) -> None:
    runs = loaded(folder)
    folder.model.mkdir()
    (folder.model / "stale").touch()  # of an answer before this one
    shipped = ship_chosen(folder, choose_model(comparable(runs)), runs["early_fusion"])
    assert {path.name for path in folder.model.iterdir()} == {"config.json", "README.md"}
    assert (folder.model / "config.json").read_text() == "early_fusion"
    assert folder.read_predictions()["tag"].tolist() == ["positive", "early_fusion"]
    assert folder.read_predictions()["guid"].tolist() == GUIDS
    own = runs["early_fusion"].folder.probabilities.read_text()
    assert folder.probabilities.read_text() == own
    assert (shipped.kind, shipped.parameters, shipped.several) == ("refit", 9, False)
    assert (runs["early_fusion"].folder.model / "README.md").read_text().count("##") == 2


def test_its_card_says_what_it_was_chosen_among(folder: RunFolder) -> None:
    best = choose_model(comparable(loaded(folder)))
    card = card_among_models("# early_fusion\n\n## Scores\n\nmany\n\n## Limits\n\n- some\n", best)
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        "# early_fusion",
        "## Scores",
        "## Chosen among models",
        "## Limits",
    ]
    assert "The val_accuracy of choosing among 3 models is 0.6111, 95 % bootstrap interval" in card
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| ")][1:]
    assert [row[:2] for row in rows] == [
        ["| early_fusion", "0.6944"],
        ["| clip", "0.6389"],
        ["| blip", "0.2500"],
    ]
    errors = best.models[1].margin_error or 0
    assert rows[1][-1] == f"-0.0556 ({2 / 36 / errors:.1f} s.e.) |"
