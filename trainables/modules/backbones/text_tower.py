"""Text backbones of the BERT family, split by replacing submodules of the library's own model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from trainables.modules.backbones.families import names_of, text_blocks
from trainables.modules.backbones.parts import shell
from trainables.modules.backbones.tower import Tower
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import POOLED_LAYERS
from trainables.modules.blocks.disentangled_block import disentangled_blocks
from trainables.modules.blocks.packed import PackedTextPiece, can_pack
from trainables.modules.blocks.piece import Piece, mean_of_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainables.config import Role
    from trainables.modules.backbones.tokenizers import Tokenizer
    from trainables.modules.backbones.tower import Joint
    from trainables.modules.blocks.cut import Layers, Pooling

# What some families apply once between their embeddings and their first block.
_AFTER_EMBEDDINGS = ("embeddings_project", "embedding_hidden_mapping_in")

_PROBES = ("sad", "what a lovely day by the river", "not so good , is it ?")
_PROBE_LENGTH = 12


class TextTower(Tower):
    """A transformer encoder of text: BERT, RoBERTa, ELECTRA, DistilBERT, MPNet, BLIP, ...

    Args:
        model: A base model of transformers with an embedding module and a list of blocks.
        tokenizer: Its tokenizer.
        source: Where its weights came from, as given by the user.
        is_random: Whether the weights are random.
        joint: What it shares with the image tower of its checkpoint, whose projection reads the
            model's pooler; None for a single tower.

    Attributes:
        packs: Whether its blocks run on real tokens only, without padding.
    """

    role: ClassVar[Role] = "text"
    unread: ClassVar[tuple[str, ...]] = ("pooler.",)

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
        self._stack = self._list = ""
        self._blocks = self._find_blocks()
        self.depth = len(self._blocks)
        self.hidden_size: int = model.config.hidden_size
        self.packs = self._opened() is not None

    @property
    def layers(self) -> tuple[Layers, ...]:
        """The layers, or sets of them, that it can pool; its embeddings count as the first."""
        if self.joint:
            return ("last",)
        return tuple(name for name, back in POOLED_LAYERS.items() if max(back) <= self.depth)

    def _find_blocks(self) -> Any:
        self._stack, self._list = find_stack(self.model)
        return getattr(getattr(self.model, self._stack), self._list)

    def _opened(self) -> Sequence[Any] | None:
        """Return the blocks as `PackedTextPiece` takes them; None if it cannot run them."""
        if all(map(can_pack, self._blocks)):
            return list(self._blocks)
        return disentangled_blocks(getattr(self.model, self._stack))

    def _reads(self) -> dict[str, Any]:
        return super()._reads() | {"tokenizer": self.tokenizer.fingerprint}

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        finish = self._finish if pooling else None
        opened = (
            self._opened() if start is not None and pooling is not None and self.packs else None
        )
        if opened is not None:
            return PackedTextPiece(opened[start:stop], pooling, finish=finish)
        blocks = list(self._blocks[start or 0 : stop])
        return self._whole(blocks, pooling, finish, from_ids=start is None)

    @property
    def _finish(self) -> nn.Module | None:
        """What the model applies to the first token before the projection."""
        pooler = self.model.pooler if self.joint else None
        return None if pooler is None else Pooler(pooler)

    def probe(self) -> Activations:
        """Return token ids (B, L) of short texts of different lengths, with their mask."""
        rows = self.tokenizer.encode(_PROBES, _PROBE_LENGTH)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        ids = torch.full(mask.shape, self.tokenizer.pad_id)
        ids[mask] = torch.tensor([token for row in rows for token in row])
        return Activations(ids, mask)

    def uncut(self, inputs: Activations, pooling: Pooling) -> Tensor:
        """Embed token ids (B, L) to (B, D) by the library's own forward, without projection."""
        assert inputs.mask is not None
        given = {"input_ids": inputs.values, "attention_mask": inputs.mask.long()}
        hidden: Tensor = self.model(**given).last_hidden_state
        if pooling == "mean":
            return mean_of_tokens(hidden, inputs.mask)
        first = self._read(hidden, inputs.mask)
        return first if self._finish is None else self._finish(first)

    def _read(self, hidden: Tensor, _: Tensor) -> Tensor:
        """Take the token that represents the text."""
        return hidden[:, 0]

    def _whole(
        self,
        blocks: Sequence[nn.Module],
        pooling: Pooling | None,
        finish: nn.Module | None,
        *,
        from_ids: bool,
    ) -> TextPiece:
        """Make a piece whose blocks are run by the library's own forward."""
        model, stack = shell(self.model), shell(getattr(self.model, self._stack))
        setattr(stack, self._list, nn.ModuleList(blocks))
        setattr(model, self._stack, stack)
        if not from_ids:
            model.embeddings = PassEmbeddings()
            for holder in (model, stack):
                for name in _AFTER_EMBEDDINGS:
                    if hasattr(holder, name):
                        setattr(holder, name, nn.Identity())
        if not blocks and hasattr(stack, "get_rel_embedding"):  # DeBERTa's needs at least one
            setattr(model, self._stack, PassStack())
        if getattr(model, "pooler", None) is not None:
            model.pooler = None
        return TextPiece(model, pooling, from_ids=from_ids, finish=finish)

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        if isinstance(suffix, PackedTextPiece):
            return [opened.block for opened in suffix.blocks]
        return [getattr(getattr(suffix.model, self._stack), self._list)]

    def _save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save(folder)


class TextPiece(Piece):
    """A run of a text model's blocks.

    Args:
        model: The library's model with only the blocks of this run.
        pooling: How it ends in an embedding; None returns hidden states.
        from_ids: Whether it starts at token ids.
        finish: What the model applies to the first token, from (B, D) to (B, D).
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
            activations: Token ids (B, L) or hidden states (B, L, D) with their mask and, for
                cross-attention, `encoder_hidden_states`.

        Returns:
            Hidden states (B, L, D) with the mask and encoder states unchanged, or embeddings (B,
            D).
        """
        values, mask, encoder_states = activations
        given = {self.inputs: values, "attention_mask": mask}
        if encoder_states is not None:
            given["encoder_hidden_states"] = encoder_states
        hidden: Tensor = self.model(**given).last_hidden_state
        if self.pooling is None:
            return Activations(hidden, mask, encoder_states)
        embedding = hidden[:, 0] if self.pooling == "cls" else mean_of_tokens(hidden, mask)
        return Activations(embedding if self.finish is None else self.finish(embedding))


class Pooler(nn.Module):
    """The library's pooler, applied to the first token alone instead of all tokens."""

    def __init__(self, pooler: nn.Module) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, first: Tensor) -> Tensor:
        """Pool first tokens, (B, D) to (B, D)."""
        pooled: Tensor = self.pooler(first.unsqueeze(1))
        return pooled


class PassEmbeddings(nn.Module):
    """Replacement of the embedding module that passes cached hidden states through."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> Tensor | None:
        """Return the hidden states (B, L, D), passed as ids or as embeddings by the model."""
        return inputs_embeds if input_ids is None else input_ids


class PassStack(nn.Module):
    """Replacement of an encoder without blocks."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> BaseModelOutput:
        """Return hidden states (B, L, D) in the library's output type."""
        return BaseModelOutput(last_hidden_state=hidden_states, hidden_states=(hidden_states,))


def find_stack(model: nn.Module) -> tuple[str, str]:
    """Find a model's list of blocks, wherever a family that its library runs has it.

    Args:
        model: A base model of transformers.

    Returns:
        The attribute names of the module that contains the list, and of the list.

    Raises:
        WeightsError: If the model has no such list.
    """
    places = list(text_blocks())
    for place in places:
        stack, _, blocks = place.partition(".")
        if isinstance(getattr(getattr(model, stack, None), blocks, None), nn.ModuleList):
            return stack, blocks
    msg = (
        f"backbone text must be of one of the families {names_of('text')}, or of their kin (a"
        f" block list at {' or '.join(places)}), got {type(model).__name__}"
    )
    raise WeightsError(msg)
