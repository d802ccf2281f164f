"""Text backbones of the BERT family, cut by surgery on the library's own model."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from trainables.modules.backbones.tower import Tower
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import POOLED_LAYERS
from trainables.modules.blocks.packed import PackedTextPiece, can_pack
from trainables.modules.blocks.piece import Piece, mean_of_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainables.config import Role
    from trainables.modules.backbones.tokenizers import Tokenizer
    from trainables.modules.backbones.tower import Joint
    from trainables.modules.blocks.cut import Layers, Pooling

# The module that holds a model's block list, and the name of the list in it.
_STACKS = (("encoder", "layer"), ("transformer", "layer"))
_Stacks = tuple[tuple[str, str], ...]

# What some families put between their embeddings and their first block, once.
_AFTER_EMBEDDINGS = ("embeddings_project", "embedding_hidden_mapping_in")

_PROBES = ("sad", "what a lovely day by the river", "not so good , is it ?")
_PROBE_LENGTH = 12


class TextTower(Tower):
    """A transformer encoder of text: BERT, RoBERTa, ELECTRA, DistilBERT, MPNet, BLIP, ...

    Args:
        model: A base model of transformers with an embedding stage and a block list.
        tokenizer: Its tokenizer.
        source: Where its weights came from, as asked for.
        is_random: Whether the weights are random.
        joint: What it shares with the image tower of its checkpoint; its projection then reads
            the model's pooler. None where it stands alone.

    Attributes:
        packs: Whether its blocks are opened, so that padding costs nothing.
    """

    role: ClassVar[Role] = "text"
    unread: ClassVar[tuple[str, ...]] = ("pooler.",)
    stacks: ClassVar[_Stacks] = _STACKS

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        source: str,
        *,
        is_random: bool,
        joint: Joint | None = None,
    ) -> None:
        super().__init__(model, source, is_random=is_random, joint=joint)
        self.tokenizer = tokenizer
        self._stack, self._list = find_stack(model, self.stacks)
        self.depth = len(self._blocks)
        self.hidden_size: int = model.config.hidden_size
        self.packs = all(map(can_pack, self._blocks))

    @property
    def layers(self) -> tuple[Layers, ...]:
        """The layers, or sets of them, that it can pool; its embeddings count as the first."""
        if self.joint:
            return ("last",)
        return tuple(name for name, back in POOLED_LAYERS.items() if max(back) <= self.depth)

    @property
    def _blocks(self) -> Any:
        return getattr(getattr(self.model, self._stack), self._list)

    def _reads(self) -> dict[str, Any]:
        return super()._reads() | {"tokenizer": self.tokenizer.fingerprint}

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        blocks = list(self._blocks[start or 0 : stop])
        finish = self._finish if pooling else None
        if start is not None and pooling is not None and self.packs:
            return PackedTextPiece(blocks, pooling, finish=finish)
        return self._whole(blocks, pooling, finish, from_ids=start is None)

    @property
    def _finish(self) -> nn.Module | None:
        """What the model puts after the first token, where a projection reads that."""
        pooler = self.model.pooler if self.joint else None
        return None if pooler is None else Pooler(pooler)

    def probe(self) -> Activations:
        """Give short texts of different lengths.

        Returns:
            Token ids (B, L) with their mask.
        """
        rows = self.tokenizer.encode(_PROBES, _PROBE_LENGTH)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        ids = torch.full(mask.shape, self.tokenizer.pad_id)
        ids[mask] = torch.tensor([token for row in rows for token in row])
        return Activations(ids, mask)

    def uncut(self, inputs: Activations, pooling: Pooling) -> Tensor:
        """Embed by the library's own forward, before any projection.

        Args:
            inputs: Token ids (B, L) with their mask.
            pooling: How tokens become one embedding.

        Returns:
            Embeddings, shape (B, D).
        """
        assert inputs.mask is not None
        given = {"input_ids": inputs.values, "attention_mask": inputs.mask.long()}
        hidden: Tensor = self.model(**given).last_hidden_state
        if pooling == "mean":
            return mean_of_tokens(hidden, inputs.mask)
        first = self._read(hidden, inputs.mask)
        return first if self._finish is None else self._finish(first)

    def _read(self, hidden: Tensor, _: Tensor) -> Tensor:
        """Take the token that is read of each text."""
        return hidden[:, 0]

    def _whole(
        self,
        blocks: Sequence[nn.Module],
        pooling: Pooling | None,
        finish: nn.Module | None,
        *,
        from_ids: bool,
    ) -> TextPiece:
        """Let the library run the blocks."""
        model, stack = shell(self.model), shell(getattr(self.model, self._stack))
        setattr(stack, self._list, nn.ModuleList(blocks))
        setattr(model, self._stack, stack)
        if not from_ids:
            model.embeddings = PassEmbeddings()
            for holder in (model, stack):
                for name in _AFTER_EMBEDDINGS:
                    if hasattr(holder, name):
                        setattr(holder, name, nn.Identity())
        if not blocks and hasattr(stack, "get_rel_embedding"):  # DeBERTa's stack runs some only
            setattr(model, self._stack, PassStack())
        if getattr(model, "pooler", None) is not None:
            model.pooler = None
        return TextPiece(model, pooling, from_ids=from_ids, finish=finish)

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        if isinstance(suffix, PackedTextPiece):
            return [suffix.blocks]
        return [getattr(getattr(suffix.model, self._stack), self._list)]

    def _save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save(folder)


class TextPiece(Piece):
    """A run of a text model's blocks.

    Args:
        model: The library's model with the blocks of this run only.
        pooling: How it ends in an embedding; None returns hidden states.
        from_ids: Whether it starts at token ids.
        finish: What the model puts after the first token, from (B, D) to (B, D).
    """

    def __init__(
        self,
        model: Any,
        pooling: Pooling | None,
        *,
        from_ids: bool,
        finish: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.inputs = "input_ids" if from_ids else "inputs_embeds"
        self.pooling = pooling
        self.finish = finish

    def forward(self, activations: Activations) -> Activations:
        """Run the blocks.

        Args:
            activations: Token ids (B, L) or hidden states (B, L, D), with their mask, and with
                what they attend to where they read an image.

        Returns:
            Hidden states (B, L, D) with all else as it was, or embeddings (B, D).
        """
        values, mask, seen = activations
        given = {self.inputs: values, "attention_mask": mask}
        if seen is not None:
            given["encoder_hidden_states"] = seen
        hidden: Tensor = self.model(**given).last_hidden_state
        if self.pooling is None:
            return Activations(hidden, mask, seen)
        embedding = hidden[:, 0] if self.pooling == "cls" else mean_of_tokens(hidden, mask)
        return Activations(embedding if self.finish is None else self.finish(embedding))


class Pooler(nn.Module):
    """A library's pooler, which reads the first of many tokens, on that token alone.

    Args:
        pooler: The library's pooler.
    """

    def __init__(self, pooler: nn.Module) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, first: Tensor) -> Tensor:
        """Pool.

        Args:
            first: First tokens, shape (B, D).

        Returns:
            What the pooler makes of them, shape (B, D).
        """
        pooled: Tensor = self.pooler(first.unsqueeze(1))
        return pooled


class PassEmbeddings(nn.Module):
    """An embedding stage that passes cached hidden states through."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> Tensor | None:
        """Pass hidden states through.

        Args:
            input_ids: None here: the first parameter of every family's embeddings.
            inputs_embeds: Hidden states, shape (B, L, D).

        Returns:
            The hidden states.
        """
        return inputs_embeds if input_ids is None else input_ids


class PassStack(nn.Module):
    """A stack of no blocks."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> BaseModelOutput:
        """Pass hidden states through.

        Args:
            hidden_states: Shape (B, L, D).

        Returns:
            The same in the library's form.
        """
        return BaseModelOutput(last_hidden_state=hidden_states, hidden_states=(hidden_states,))


def find_stack(model: nn.Module, stacks: _Stacks = _STACKS) -> tuple[str, str]:
    """Find a model's block list.

    Args:
        model: A base model of transformers.
        stacks: Where it may be: the module that holds it, and its name in there.

    Returns:
        The names of the module that holds the list and of the list.

    Raises:
        WeightsError: If the model has none that we know.
    """
    for stack, blocks in stacks:
        holder = getattr(model, stack, None)
        if isinstance(getattr(holder, blocks, None), nn.ModuleList):
            return stack, blocks
    places = " or ".join(map(".".join, stacks))
    msg = (
        f"text backbone must be of the BERT family (a block list at {places}), "
        f"got {type(model).__name__}"
    )
    raise WeightsError(msg)


def shell(module: Any) -> Any:
    """Copy a module without its children's weights, so that children can be replaced.

    Args:
        module: A library model.

    Returns:
        A copy with a child table of its own; the children themselves are shared.
    """
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    return clone
