"""What all loaders of pretrained towers share: errors, tokenizers, colours, seeds."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.utils import logging

from trainables.modules.preprocessor import read_preprocessor
from trainables.modules.tokenizers import HashTokenizer, PretrainedTokenizer, is_hashed
from trainables.modules.weights import WeightsError, check_source, is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainables.modules.preprocessor import Colours
    from trainables.modules.tokenizers import Tokenizer

# What CLIP and BLIP were trained on.
OPENAI_COLOURS: Colours = (tuple(OPENAI_CLIP_MEAN), tuple(OPENAI_CLIP_STD))

TINY_VOCABULARY = 2_048
_SEED = 20_261


@contextmanager
def reading(role: str, source: str) -> Iterator[str]:
    """Read weights in here; whatever goes wrong becomes one line with the remedy.

    Args:
        role: The backbone's name on the command line.
        source: A folder or a hub id.

    Yields:
        What transformers calls the source.

    Raises:
        WeightsError: If the weights cannot be had.
    """
    if faults := check_source(role, source):
        raise WeightsError("\n".join(faults))
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # what a checkpoint lacks is ours to say
    logging.disable_progress_bar()
    try:
        yield _place(source)
    except WeightsError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        remedy = (
            "the files are damaged or of a kind that transformers does not know"
            if is_local(source)
            else "give a local folder (--backbone "
            f"{role}=DIR), or go online once so that the hub's files are cached"
        )
        msg = f"backbone {role} cannot be loaded from {source}: {first_line(error)}; {remedy}"
        raise WeightsError(msg) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def seeded() -> Iterator[None]:
    """Draw random weights that are the same everywhere, so their activations can be cached."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        yield


def load_tokenizer(role: str, source: str, vocabulary: int, *, causal: bool = False) -> Tokenizer:
    """Load the tokenizer that lies beside some weights.

    Args:
        role: The backbone's name on the command line.
        source: A folder or a hub id.
        vocabulary: How many ids the model knows.
        causal: Whether the model reads a text's last id, which then must be its end.

    Returns:
        The tokenizer.

    Raises:
        WeightsError: If there is none, or it is damaged.
    """
    try:
        if is_hashed(Path(source).expanduser()):
            return HashTokenizer(vocabulary)
        return PretrainedTokenizer(AutoTokenizer.from_pretrained(_place(source)), causal=causal)
    except (OSError, ValueError) as error:
        msg = f"backbone {role}: no tokenizer can be loaded from {source}: {first_line(error)}"
        raise WeightsError(msg) from error


def load_colours(role: str, source: str, default: Colours) -> Colours:
    """Read off a checkpoint's preprocessor how its pixels are standardised.

    Args:
        role: The backbone's name on the command line.
        source: A folder or a hub id.
        default: The family's, where there is no such file or it does not say.

    Returns:
        Mean and standard deviation of each colour channel, of pixels in [0, 1].

    Raises:
        WeightsError: If its file is damaged.
    """
    preprocessor = read_preprocessor(role, source)
    return default if preprocessor is None else preprocessor.colours(default)


def first_line(error: Exception) -> str:
    """Say what an error says, short.

    Args:
        error: Any error.

    Returns:
        The first line of its message.
    """
    return str(error).strip().partition("\n")[0]


def _place(source: str) -> str:
    return str(Path(source).expanduser()) if is_local(source) else source
