from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from search.config.command import command_line
from search.config.settings import parse

BARE = "--model early_fusion"
WORDS = [
    BARE,
    "--model clip --trials 7 --seed 3 --time-budget 20m --no-retrain",
    "--model early_fusion --data 'my tweets' --backbone text=a --backbone 'image=b c' --folds 3",
    "--model early_fusion --fix batch_size=32 --range head_dropout=0.1:0.3 --grace-epochs 2",
    "--model early_fusion --gpus-per-trial 0.25 --no-cache --no-reuse-actors --epochs 9",
]


@pytest.mark.parametrize("words", WORDS)
def test_the_command_asks_for_the_same_search(words: str) -> None:
    asked = parse(shlex.split(words))
    command = shlex.split(command_line(asked))
    assert command[:3] == ["python", "-m", "search.run"]
    assert parse(command[3:]) == asked


def test_what_is_left_at_its_default_is_left_out() -> None:
    assert command_line(parse(shlex.split(BARE))) == f"python -m search.run {BARE}"


def test_a_repetition_has_a_folder_of_its_own() -> None:
    asked = parse(shlex.split(f"{BARE} --out runs/mine"))
    assert parse(shlex.split(command_line(asked))[3:]) == replace(asked, out=None)
