from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from search.config.settings import parse

HEAVY = ("torch", "ray", "transformers", "pandas", "sklearn", "optuna", "numpy")


def test_help_imports_no_framework() -> None:
    probe = (
        "import sys\n"
        "from search.run import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as end:\n"
        f"    print([m for m in {HEAVY} if m in sys.modules], end.code)"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "--time-budget" in out.stdout
    assert out.stdout.splitlines()[-1] == "[] 0"


def test_the_list_of_backbones_imports_no_framework() -> None:
    probe = (
        "import sys\n"
        "from search.run import main\n"
        "code = main(['--list-backbones'])\n"
        f"print([m for m in {HEAVY} if m in sys.modules], code)"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "answerdotai/ModernBERT-base" in out.stdout
    assert out.stdout.splitlines()[-1] == "[] 0"


def test_flags_reach_their_settings() -> None:
    words = (
        "--model early_fusion --trials 7 --data d --backbone text=a --backbone image=b"
        " --no-retrain --fix x=1 --fix y=2 --range z=1:2 --no-cache --no-reuse-actors"
        " --gpus-per-trial 0.25 --time-budget 1h --out o --split lab --image-size 64"
    )
    settings = parse(words.split())
    assert (settings.model, settings.trials, settings.time_budget) == ("early_fusion", 7, "1h")
    assert (settings.out, settings.selection.retrain) == (Path("o"), False)
    assert settings.data.path == Path("d")
    assert settings.data.backbone == ("text=a", "image=b")
    assert (settings.data.split, settings.data.image_size) == ("lab", 64)
    assert settings.tuning.fix == ("x=1", "y=2")
    assert settings.tuning.range == ("z=1:2",)
    assert settings.resources.no_cache
    assert not settings.resources.reuse_actors
    assert settings.resources.gpus_per_trial == 0.25


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "--model"),
        ("--model early_fusion --trials many", "many"),
        ("--model early_fusion --split labs", "grouped"),
        ("--model early_fusion --trails 3", "--trials"),
    ],
)
def test_words_that_make_no_sense_end_with_code_2(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
