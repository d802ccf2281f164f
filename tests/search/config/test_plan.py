from __future__ import annotations

import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from optuna.distributions import CategoricalDistribution

from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import SettingsError
from search.study.space import distributions
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults(words: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        make_plan(parse(["--model", "early_fusion", *words.split()]))
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--trials 0", "--trials must be >= 1, got 0"),
        ("--trials -3", "--trials must be >= 1, got -3"),
        ("--folds 0", "--folds must be >= 1, got 0"),
        ("--epochs 0", "--epochs must be >= 1, got 0"),
        ("--grace-epochs 0", "--grace-epochs must be >= 1, got 0"),
        ("--epochs 4 --grace-epochs 5", "--grace-epochs must be <= --epochs (4), got 5"),
        ("--reduction-factor 1", "--reduction-factor must be >= 1.1, got 1"),
        ("--reduction-factor nan", "--reduction-factor must be >= 1.1, got nan"),
        ("--seed -1", "--seed must be in [0, 4294967295], got -1"),
        ("--max-concurrent 0", "--max-concurrent must be >= 1, got 0"),
        ("--gpus-per-trial -1", "--gpus-per-trial must be 0, or >= 0.0001, got -1"),
        ("--gpus-per-trial 1.5", "--gpus-per-trial must be a whole number when above 1, got 1.5"),
        ("--address head", "--address must be HOST:PORT, auto or local, got 'head'"),
        ("--cpus-per-trial 0", "--cpus-per-trial must be >= 0.0001, got 0"),
        (
            "--metric val_weighted_f",
            "--metric must be a metric of a trial, got 'val_weighted_f';"
            " did you mean 'val_weighted_f1'?",
        ),
        (
            "--missing allow --modality text",
            "--missing allow must go with --modality both, got text: images are not read",
        ),
        (
            "--encoding gb18300",
            "--encoding must be an encoding of text, got 'gb18300'; did you mean 'gb18030'?",
        ),
        (
            "--time-budget 5x",
            "--time-budget must be a time such as 90s, 20m or 1h30m, got '5x'",
        ),
        (
            "--time-budget 0s",
            "--time-budget must be a time such as 90s, 20m or 1h30m, got '0s'",
        ),
        (
            "--time-budget 1.2.3h",
            "--time-budget must be a time such as 90s, 20m or 1h30m, got '1.2.3h'",
        ),
        (
            "--backbone imge=tiny",
            "--backbone: early_fusion has no role 'imge'; did you mean 'image'?",
        ),
        ("--backbone text", "--backbone must be ROLE=SOURCE, got 'text'"),
        ("--backbone text=", "--backbone must be ROLE=SOURCE, got 'text='"),
        (
            "--fix head_drop=0.1",
            "--fix: early_fusion has no parameter 'head_drop'; did you mean 'head_dropout'?",
        ),
        ("--fix head_dropout", "--fix must be NAME=VALUE, got 'head_dropout'"),
        ("--fix head_dropout=much", "--fix head_dropout must be a number, got 'much'"),
        ("--fix batch_size=1.5", "--fix batch_size must be a whole number, got '1.5'"),
        ("--fix normalize=2", "--fix normalize must be true or false, got '2'"),
        ("--fix head_dropout=1", "--fix: head_dropout must be in [0, 1), got 1.0"),
        (
            "--fix schedule=cosin",
            "--fix: schedule must be one of plateau, cosine, got 'cosin'; did you mean 'cosine'?",
        ),
        (
            "--fix schedule=plateau --epochs 3",
            "--fix schedule=plateau must have --epochs >= 4, the first that it can act in with"
            " patience 3, got 3",
        ),
        (
            "--fix schedule=plateau --fix patience=5 --epochs 5",
            "--fix schedule=plateau must have --epochs >= 6, the first that it can act in with"
            " patience 5, got 5",
        ),
        ("--fix max_epochs=3", "--fix max_epochs is not possible; use --epochs"),
        (
            "--range head_drop=0:1",
            "--range: the space has no parameter 'head_drop'; did you mean 'head_dropout'?",
        ),
        (
            "--range head_dropout=0.2",
            "--range must be NAME=LOW:HIGH with two numbers or NAME=A,B, got 'head_dropout=0.2'",
        ),
        (
            "--range head_dropout=0.4:0.2",
            "--range head_dropout must have LOW <= HIGH, both finite, got 0.4:0.2",
        ),
        (
            "--range head_dropout=0.8:0.9",
            "--range head_dropout=0.8:0.9 leaves nothing: the space draws it in [0.3, 0.7]",
        ),
        (
            "--range hidden_width=130:250",
            "--range hidden_width=130:250 leaves nothing: the space draws it in [128, 1024]"
            " in steps of 128",
        ),
        (
            "--range batch_size=20:30",
            "--range batch_size=20:30 leaves nothing: the space draws it one of [8, 16]",
        ),
        (
            "--range schedule=0:1",
            "--range schedule must be numeric, got choices ('cosine', 'plateau');"
            " use schedule=A,B",
        ),
        (
            "--range schedule=cosine,plateu",
            "--range: schedule must be one of plateau, cosine, got 'plateu'; did you mean"
            " 'plateau'?",
        ),
        ("--range head_dropout=0.2,x", "--range head_dropout must be a number, got 'x'"),
        ("--range lexicon=true,2", "--range lexicon must be true or false, got '2'"),
        (
            "--range text_cleening=basic,minimal",
            "--range: early_fusion has no parameter 'text_cleening'; did you mean"
            " 'text_cleaning'?",
        ),
        (
            "--range schedule=cosine,plateau --epochs 3",
            "--range schedule=plateau must have --epochs >= 4, the first that it can act in with"
            " patience 3, got 3",
        ),
        (
            "--range text_backbone=a,b",
            "--range text_backbone chooses among several --backbone text=SOURCE, got one",
        ),
        (
            "--fix head_dropout=0.2 --range head_dropout=0.2,0.3",
            "head_dropout must have one of --fix and --range, got both",
        ),
        (
            "--fix head_dropout=0.2 --range head_dropout=0.2:0.3",
            "head_dropout must have one of --fix and --range, got both",
        ),
        (
            "--modality text --backbone image=tiny",
            "--backbone image is not read with --modality text; leave it out",
        ),
        (
            "--modality text --fix image_unfrozen_layers=1",
            "image_unfrozen_layers is inactive with --modality text; leave it out",
        ),
        (
            "--modality image --range text_unfrozen_layers=0:1",
            "text_unfrozen_layers is inactive with --modality image; leave it out",
        ),
        ("--cache c --no-cache", "--cache and --no-cache must not be given together"),
        ("--image-size 100000", "--image-size must be <= 2048, got 100000"),
        ("--repeats 999999999999", "--repeats must be <= 1000, got 999999999999"),
        ("--cpus-per-trial 1e-320", "--cpus-per-trial must be >= 0.0001, got 9.99989e-321"),
        ("--reduction-factor 1.0001", "--reduction-factor must be >= 1.1, got 1.0001"),
        ("--image-size 8", "--image-size must be >= 32, got 8"),
        ("--text-length 2", "--text-length must be >= 4, got 2"),
        ("--blur-radius -1", "--blur-radius must be >= 0, got -1.0"),
    ],
)
def test_a_bad_setting_is_named_with_its_rule(words: str, message: str) -> None:
    assert faults(f"--data demo {words}") == [message]


@pytest.mark.parametrize("flag", ["--cache", "--out"])
def test_a_place_that_cannot_be_written_is_named(flag: str) -> None:
    (fault,) = faults(f"--data demo {flag} /proc/new")
    assert fault.startswith(f"{flag} must be a folder that can be written, got /proc/new: ")


def test_an_unknown_model_offers_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"got 'early_fusio'; did you mean 'early_fusion'\?"):
        make_plan(parse(["--model", "early_fusio"]))


def test_a_folder_of_weights_that_lacks_files_says_which(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    (message,) = faults("--data demo --backbone text=bert")
    assert "bert" in message
    assert "config.json" in message


def test_all_faults_are_told_at_once() -> None:
    words = "--data demo --trials 0 --epochs 0 --metric x --time-budget z --fix q=1 --backbone r=s"
    assert len(faults(f"{words} --image-size 1 --cpus-per-trial 0 --range q=1:2")) == 9


def test_a_folder_with_a_search_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "search.json").write_text("{}")
    (message,) = faults("--data demo --out old")
    assert message == (
        f"--out must be a folder without a search, got {tmp_path / 'old'}, which holds one;"
        f" --resume {tmp_path / 'old'} goes on with it"
    )


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    assert faults("--data demo --out old") == [
        f"--out must be a folder that can be written, got {tmp_path / 'old'}: it is a file"
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("45", 45), ("0.5h", 1800), ("1H1M1S", 3661)],
)
def test_times_are_understood(text: str, seconds: float) -> None:
    plan = make_plan(parse(f"--model early_fusion --data demo --time-budget {text}".split()))
    assert plan.time_budget == seconds


def test_each_node_fills_in_a_cache_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/fast")
    plan = make_plan(parse(["--model", "early_fusion", "--cache", "$SCRATCH/c"]))
    assert str(plan.cache) == "$SCRATCH/c"
    assert str(plan.demo) == "/fast/c/demo"
    monkeypatch.delenv("SCRATCH")
    (fault,) = faults("--cache $SCRATCH/c")
    assert fault.startswith(
        "--cache: $SCRATCH/c must name variables and homes that every node has"
    )


def test_defaults_are_worked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan = make_plan(parse(["--model", "early_fusion"]))
    assert plan.source is None, "there are no data here: the demo"
    assert plan.backbones == {"text": "tiny", "image": "tiny"}
    assert plan.time_budget == math.inf
    assert plan.grace_epochs == 2
    assert plan.cache == tmp_path / "cache" / "multimodal-sentiment-search"
    assert plan.folder.path.parent == tmp_path / "runs"
    assert plan.folder.path.name.startswith("early_fusion-")
    small = replace(plan.variant.inputs, image_size=64)
    assert plan.inputs == small, "random weights see no detail"


def test_data_in_this_folder_are_found_and_keep_the_real_weights(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "train.txt").touch()
    plan = make_plan(parse(["--model", "early_fusion", "--backbone", "text=tiny"]))
    assert plan.source == tmp_path
    assert plan.backbones == {"text": "tiny", "image": plan.variant.backbones["image"]}


@pytest.mark.parametrize(
    ("words", "grace"),
    [("--epochs 2", 2), ("--epochs 9 --grace-epochs 4", 4), ("--epochs 7 --scheduler none", 7)],
)
def test_grace_fits_the_epochs(words: str, grace: int) -> None:
    plan = make_plan(parse(f"--model early_fusion --data demo {words}".split()))
    assert plan.grace_epochs == grace


def test_what_is_tried_first_lies_inside_the_narrowed_space() -> None:
    words = "--fix normalize=true --fix patience=9 --range head_dropout=0.6:0.7"
    plan = make_plan(parse(f"--model early_fusion --data demo {words}".split()))
    assert plan.hand_tuned["normalize"] is True
    assert plan.hand_tuned["patience"] == 9
    assert plan.hand_tuned["head_dropout"] == 0.6
    assert "max_grad_norm" not in plan.hand_tuned


def test_a_range_of_values_draws_from_them_whether_searched_or_not() -> None:
    words = "--range text_cleaning=minimal,basic --range head_dropout=0.1,0.9 --fix lexicon=false"
    plan = make_plan(parse(f"--model early_fusion --data demo {words}".split()))
    drawn = distributions(plan.space)
    assert drawn["text_cleaning"] == CategoricalDistribution(("minimal", "basic"))
    assert drawn["head_dropout"] == CategoricalDistribution((0.1, 0.9))
    assert plan.hand_tuned["text_cleaning"] == "minimal"
    assert plan.hand_tuned["head_dropout"] == 0.1
    assert plan.overrides.choices["text_cleaning"] == ("minimal", "basic")


@pytest.mark.parametrize("model", VARIANTS)
def test_one_modality_needs_its_own_weights_and_hyperparameters_only(model: str) -> None:
    plan = make_plan(parse(f"--model {model} --data demo --modality text".split()))
    drawn = distributions(plan.space)
    assert "text_unfrozen_layers" in drawn
    assert not drawn.keys() & plan.variant.unread("text")
    assert plan.hand_tuned.keys() <= drawn.keys()
    assert "image" not in plan.backbones
    assert plan.backbones


def test_images_are_of_the_size_that_their_checkpoint_was_trained_on(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(weights["vit"], tmp_path / "vit")
    (folder / "preprocessor_config.json").write_text('{"size": 384, "crop_size": 336}')
    words = ["--model", "early_fusion", "--data", "corpus", "--backbone", f"image={folder}"]
    words += ["--backbone", f"text={weights['bert']}"]
    assert make_plan(parse(words)).inputs.image_size == 336
    assert make_plan(parse([*words, "--image-size", "64"])).inputs.image_size == 64


def test_a_broken_preprocessor_is_a_fault_before_any_work(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(weights["vit"], tmp_path / "vit")
    file = folder / "preprocessor_config.json"
    file.write_text('{"image_std": null}')
    assert faults(f"--data corpus --backbone image={folder}") == [
        f"backbone image: {file}: image_std must be three numbers > 0, got None"
    ]


@pytest.mark.parametrize(
    ("epochs", "choices"),
    [(3, ("cosine",)), (4, ("cosine", "plateau")), (6, ("cosine", "plateau"))],
)
def test_a_schedule_that_cannot_act_within_the_epochs_is_no_choice(
    epochs: int, choices: tuple[str, ...]
) -> None:
    plan = make_plan(parse(f"--model clip --data demo --epochs {epochs}".split()))
    assert distributions(plan.space)["schedule"] == CategoricalDistribution(choices)
    assert plan.hand_tuned["schedule"] == choices[-1], "the lab's, where it can act"
