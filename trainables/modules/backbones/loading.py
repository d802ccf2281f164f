"""Shared by the loaders of pretrained towers: errors, checkpoint checks, tokenizers, seeds."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging

from trainables.modules.backbones.families import COLOURS
from trainables.modules.backbones.preprocessor import read_preprocessor
from trainables.modules.backbones.tokenizers import HashTokenizer, PretrainedTokenizer, is_hashed
from trainables.modules.backbones.torch_files import read_state_dict
from trainables.modules.backbones.weights import (
    WeightsError,
    check_source,
    is_local,
    local_path,
    place_of,
    weights_file,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from transformers import PreTrainedConfig, PreTrainedModel

    from trainables.modules.backbones.preprocessor import Colours
    from trainables.modules.backbones.tokenizers import Tokenizer

OPENAI_COLOURS: Colours = COLOURS["openai"]

TINY_VOCABULARY = 2_048
_SEED = 20_261

# Buffers that older checkpoints contain and that models compute themselves.
_MADE_ANEW = ("position_ids", "inv_freq", "masked_bias")


@contextmanager
def reading(role: str, source: str) -> Iterator[dict[str, Any]]:
    """Read weights in this context; any error becomes a `WeightsError` of one line with a remedy.

    Yields:
        Keyword arguments for the library's `from_pretrained`: where to load from, and
        restrictions.

    Raises:
        WeightsError: If the weights cannot be loaded.
    """
    if faults := check_source(role, source):
        raise WeightsError("\n".join(faults))
    with _quiet():
        try:
            yield _options(source)
        except WeightsError:
            raise
        except Exception as error:  # the library's errors are of many types; all mean bad files
            msg = f"backbone {role} cannot be loaded from {source}: {_cause(role, source, error)}"
            raise WeightsError(msg) from error


@contextmanager
def _quiet() -> Iterator[None]:
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # missing weights are reported by `refuse_misfits`
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _options(source: str) -> dict[str, Any]:
    place = place_of(source)
    pinned = {} if place.revision is None else {"revision": place.revision}
    # Code that comes with weights is never run, and the user is not asked to allow it.
    return {"pretrained_model_name_or_path": place.name, "trust_remote_code": False, **pinned}


def _cause(role: str, source: str, error: Exception) -> str:
    """Describe an error of the library, with a remedy."""
    if "custom code" in str(error):
        return "it wants to run code of its own (auto_map), which is never done; give another"
    message = first_line(error)
    if not isinstance(error, OSError | ValueError | RuntimeError):
        message = f"{type(error).__name__}: {message}"
    if isinstance(error, ImportError):
        return f"{message}; install what it names"
    if is_local(source):
        return f"{message}; the files are damaged or of a kind that transformers does not know"
    return (
        f"{message}; give a local folder (--backbone {role}=DIR), or go online once so that the "
        "hub's files are cached"
    )


def load_config(options: Mapping[str, Any]) -> PreTrainedConfig:
    """Read a checkpoint's config, without running any code that it names."""
    return AutoConfig.from_pretrained(**options)


def load_model(
    kind: Any,
    config: PreTrainedConfig,
    options: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> tuple[Any, dict[str, Collection[str]]]:
    """Load a library model; weights that the checkpoint lacks are initialised with a fixed seed.

    Args:
        kind: The model's class.
        config: Its config.
        options: The keyword arguments from `reading`.
        names: Key mapping from patterns in the checkpoint to names in the model.

    Returns:
        The model in float32 on the CPU, and the library's `missing_keys` and `unexpected_keys`.
    """
    path = weights_file(Path(options["pretrained_model_name_or_path"]))
    if path is not None and path.name == "pytorch_model.bin":
        options = {"pretrained_model_name_or_path": None, "state_dict": read_state_dict(path)}
    with seeded():
        model, found = kind.from_pretrained(
            **options,
            config=config,
            dtype=torch.float32,
            # Explicit, because a config may name a kernel from the hub here.
            attn_implementation="sdpa" if kind._supports_sdpa else "eager",
            key_mapping={r"^module\.": "", **(names or {})},
            output_loading_info=True,
        )
    return model, found


def refuse_misfits(
    role: str,
    source: str,
    model: PreTrainedModel,
    found: Mapping[str, Collection[str]],
    optional: tuple[str, ...] = (),
) -> None:
    """Raise if a checkpoint's weights do not match its model.

    Args:
        role: The backbone's name on the command line.
        source: Where it was loaded from.
        model: The model.
        found: The library's `missing_keys` and `unexpected_keys`.
        optional: Prefixes of weights that may be missing because they are unused.

    Raises:
        WeightsError: If used weights are missing, or blocks are left over.
    """
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(optional))
    unfit = sorted(found["unexpected_keys"])
    if missing:
        wanted = sum(not name.startswith(optional) for name in model.state_dict())
        msg = (
            f"backbone {role}: {source} lacks {len(missing)} of {wanted} weights of a "
            f"{type(model).__name__}, such as {missing[0]}"
        )
        if unfit:
            msg += f", and holds others, such as {unfit[0]}"
        msg += "; give a checkpoint that has them"
        raise WeightsError(msg)
    lists = tuple(f"{n}." for n, m in model.named_modules() if isinstance(m, nn.ModuleList))
    prefix = f"{model.base_model_prefix}."
    surplus = [
        name
        for name in unfit
        if name.removeprefix(prefix).startswith(lists) and not name.endswith(_MADE_ANEW)
    ]
    if surplus:
        msg = (
            f"backbone {role}: {source} holds {len(surplus)} weights of blocks, such as "
            f"{surplus[0]}, that the {type(model).__name__} of its config.json has no place for"
        )
        raise WeightsError(msg)


@contextmanager
def seeded() -> Iterator[None]:
    """Initialise weights with a fixed seed, so that their activations can be cached."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        yield


def load_tokenizer(
    role: str, source: str, model: PreTrainedModel, *, causal: bool = False
) -> Tokenizer:
    """Load the tokenizer of a checkpoint for a model.

    A `causal` model pools the last token, which then must be the end of the text.

    Returns:
        The tokenizer.

    Raises:
        WeightsError: If there is none, it is damaged, or it does not match the model.
    """
    words, longest = getattr(model.config, "vocab_size", None), longest_text(model)
    try:
        if is_hashed(local_path(source)):
            return HashTokenizer(words or TINY_VOCABULARY, longest)
        with _quiet():
            loaded = AutoTokenizer.from_pretrained(**_options(source))
            tokenizer = PretrainedTokenizer(loaded, causal=causal, longest=longest)
            if not loaded.is_fast:  # some do not round-trip: find out before training
                with TemporaryDirectory() as folder:
                    tokenizer.save(Path(folder))
    except Exception as error:  # the library's errors are of many types; all mean bad files
        msg = (
            f"backbone {role}: no tokenizer can be loaded from {source}: "
            f"{_cause(role, source, error)}"
        )
        raise WeightsError(msg) from error
    if words is not None and (fault := tokenizer.misfit(words)):
        msg = f"backbone {role}: the tokenizer of {source} {fault}"
        raise WeightsError(msg)
    return tokenizer


def longest_text(model: PreTrainedModel) -> int | None:
    """Return the number of position embeddings of a text model; None if it has no such limit."""
    embeddings = getattr(model, "embeddings", None)
    for name in ("position_embeddings", "position_embedding"):
        table = getattr(embeddings, name, None)
        if isinstance(table, nn.Embedding):
            # In RoBERTa-like models, positions start after the padding index.
            skipped = 0 if table.padding_idx is None else table.padding_idx + 1
            return table.num_embeddings - skipped
    return getattr(model.config, "max_position_embeddings", None)


def load_colours(role: str, source: str, default: Colours) -> Colours:
    """Read mean and standard deviation of each colour channel from a checkpoint's preprocessor.

    Returns:
        Those for pixels in [0, 1]; the default if there is no file, or it has none.

    Raises:
        WeightsError: If the file is damaged.
    """
    preprocessor = read_preprocessor(role, source)
    return default if preprocessor is None else preprocessor.colours(default)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
