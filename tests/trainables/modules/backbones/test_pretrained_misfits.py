"""Checkpoints whose weights, words or code are not their model's: unwrapped, or one line."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.backbones.weights import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

State = dict[str, "Tensor"]


@pytest.fixture
def folder(weights: Mapping[str, str], tmp_path: Path) -> Path:
    """A BERT folder to be changed."""
    return Path(shutil.copytree(weights["bert"], tmp_path / "bert"))


def fault_of(source: Path, load: Callable[[str], Any] = load_text_tower) -> str:
    with pytest.raises(WeightsError) as error:
        load(str(source))
    assert "\n" not in str(error.value)
    return str(error.value)


def rewrite(folder: Path, change: Callable[[State], Any], *, torch_file: bool = False) -> None:
    path = folder / "model.safetensors"
    state = change(load_file(path))
    path.unlink()
    if torch_file:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, path, {"format": "pt"})


def under(prefix: str) -> Callable[[State], State]:
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    ("change", "torch_file"),
    [
        pytest.param(under("module."), False, id="module."),
        pytest.param(under("bert."), False, id="bert."),
        pytest.param(under("module.bert."), False, id="module.bert."),
        pytest.param(under(""), True, id="torch file"),
        pytest.param(under("module."), True, id="torch file, module."),
        pytest.param(lambda s: {"state_dict": s, "epoch": 3}, True, id="state_dict"),
        pytest.param(lambda s: {"model": under("module.")(s)}, True, id="model, module."),
    ],
)
def test_what_wraps_a_models_names_is_taken_off(
    weights: Mapping[str, str], folder: Path, change: Callable[[State], Any], torch_file: bool
) -> None:
    rewrite(folder, change, torch_file=torch_file)
    assert load_text_tower(str(folder)).fingerprint == load_text_tower(weights["bert"]).fingerprint


def without(part: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("encoder.layer.1."), "lacks 16 of 53 weights of a BertModel, such as encoder."),
        (without("word_embeddings"), "lacks 1 of 53 weights of a BertModel, such as embeddings."),
        (under("net."), "and holds others, such as net."),
        (lambda _: {}, "lacks 53 of 53 weights of a BertModel"),
    ],
)
def test_weights_that_are_missing_are_not_made_up(
    folder: Path, change: Callable[[State], State], said: str
) -> None:
    rewrite(folder, change)
    message = fault_of(folder)
    assert message.startswith(f"backbone text: {folder} lacks ")
    assert said in message
    assert message.endswith("; give a checkpoint that has them")


def test_a_pooler_may_be_missing_as_nobody_reads_it(folder: Path) -> None:
    whole = load_text_tower(str(folder))
    rewrite(folder, without("pooler"))
    assert load_text_tower(str(folder)).fingerprint == whole.fingerprint


def test_blocks_that_the_config_has_no_place_for_are_told(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    message = fault_of(folder)
    assert message.startswith(
        f"backbone text: {folder} holds 16 weights of blocks, such as encoder"
    )
    assert message.endswith("that the BertModel of its config.json has no place for")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("known", [True, False])
def test_code_that_comes_with_weights_is_never_run_nor_asked_about(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, known: bool
) -> None:
    ran = folder / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    auto: Any = dict.fromkeys(("AutoConfig", "AutoModel"), "own.Own")
    if file != "config.json":
        auto = {"AutoTokenizer": ["own.Own", "own.Own"]}
    content = json.loads((folder / file).read_text()) | {"auto_map": auto}
    if not known:
        content |= {"model_type": "own", "tokenizer_class": "OwnTokenizer"}
    (folder / file).write_text(json.dumps(content))
    if known or file != "config.json":
        load_text_tower(str(folder))
    else:
        said = "it wants to run code of its own (auto_map), which is never done"
        assert said in fault_of(folder)
    assert not ran.exists()


def test_attention_of_the_hub_that_a_config_names_is_not_fetched(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    named = {"attn_implementation": "someone/kernel", "_attn_implementation": "someone/kernel"}
    (folder / "config.json").write_text(json.dumps(config | named))
    assert load_text_tower(str(folder)).model.config._attn_implementation == "sdpa"


def test_a_pickle_that_runs_code_is_refused(folder: Path) -> None:
    rewrite(folder, lambda _: {"embeddings": Path}, torch_file=True)
    assert f"cannot be loaded from {folder}: UnpicklingError" in fault_of(folder)


@pytest.mark.parametrize(
    "config", [{"num_attention_heads": 5}, {"hidden_size": None}, {"hidden_act": "no-such"}]
)
def test_a_config_that_makes_no_model_is_one_line(folder: Path, config: dict[str, Any]) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | config))
    assert fault_of(folder).startswith(f"backbone text cannot be loaded from {folder}: ")


def test_a_tokenizer_without_a_vocabulary_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    message = fault_of(folder)
    assert f"backbone text: the tokenizer of {folder} knows 5 words, and the model " in message
    assert "its vocabulary is missing" in message


def test_a_tokenizer_with_more_words_than_its_model_is_refused(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {"more": 90}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert "has ids up to 90, and the model knows" in fault_of(folder)


SENTENCEPIECE = {
    "deberta-v3": ("DebertaV2Tokenizer", "spm.model"),
    "xlm-roberta": ("XLMRobertaTokenizer", "sentencepiece.bpe.model"),
    "albert": ("AlbertTokenizer", "spiece.model"),
}


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_a_vocabulary_of_sentencepiece_alone_is_read(tmp_path: Path, name: str) -> None:
    import sentencepiece

    from tests.trainables.modules.layouts import TEXTS, made

    layout, (kind, file) = TEXTS[name], SENTENCEPIECE[name]
    made(layout._replace(sizes={**layout.sizes, "vocab_size": 44})).save_pretrained(tmp_path)
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["what a lovely day by the river", "not so good is it"] * 9),
        model_writer=written,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],  # as ALBERT's vocabulary has
    )
    (tmp_path / file).write_bytes(written.getvalue())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    tower = load_text_tower(str(tmp_path))
    (ids,) = tower.tokenizer.encode(["a lovely day"], 12)
    assert len(set(ids)) > 5
    assert tower.tokenizer.unknown_id not in ids
    tower.save(tmp_path / "again")
    assert load_text_tower(str(tmp_path / "again")).fingerprint == tower.fingerprint


def resnet_file(weights: Mapping[str, str], to: Path, change: Callable[[State], Any]) -> Path:
    state = change(load_file(weights["resnet"]))
    if to.suffix == ".safetensors":
        save_file(state, to)
    else:
        torch.save(state, to)
    return to


def another_head(state: State) -> State:
    return state | {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("a.safetensors", another_head, id="another head"),
        pytest.param("a.pth", without("fc."), id="no head"),
        pytest.param(
            "a.pth", lambda s: without("fc.")(s) | {"fc.1.weight": s["fc.weight"]}, id="mlp"
        ),
        pytest.param("a.safetensors", under("module."), id="module."),
        pytest.param("a.pt", lambda s: {"state_dict": under("module.")(s)}, id="both"),
    ],
)
def test_a_resnet_is_read_whatever_its_head_and_wrapping(
    weights: Mapping[str, str], tmp_path: Path, name: str, change: Callable[[State], Any]
) -> None:
    tower = load_image_tower(str(resnet_file(weights, tmp_path / name, change)))
    assert tower.fingerprint == load_image_tower(weights["resnet"]).fingerprint
    assert tower.parameter_count == load_image_tower(weights["resnet"]).parameter_count
    tower.save(tmp_path)
    assert load_image_tower(str(tmp_path)).fingerprint == tower.fingerprint


def test_what_does_not_fit_of_a_resnet_is_told(weights: Mapping[str, str], tmp_path: Path) -> None:
    path = resnet_file(weights, tmp_path / "a.pth", without("layer2.0.bn1.weight"))
    message = fault_of(path, load_image_tower)
    assert message.startswith(f"backbone image: {path} is no ResNet of torchvision: ")
    assert "layer2.0.bn1.weight" in message


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {}}, {"epoch": 3}])
def test_a_torch_file_without_tensors_is_told(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pth")
    message = fault_of(tmp_path / "a.pth", load_image_tower)
    assert f"must hold tensors by name, got a {type(content).__name__} without any" in message
