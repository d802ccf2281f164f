"""ALBERT's block: post-norm as BERT's, with the same few blocks run again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainables.modules.blocks.open_block import OpenBlock, Projections

if TYPE_CHECKING:
    from torch import Tensor


class AlbertBlock(OpenBlock):
    """A block of ALBERT."""

    def __init__(self, block: Any) -> None:
        attention = block.attention
        super().__init__(block, attention.attention_head_size, attention.attention_dropout.p)

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Compute queries (..., R, D) of the readers, keys and values (..., T, D) of all."""
        attention = self.block.attention
        return Projections(
            attention.query(readers), attention.key(tokens), attention.value(tokens)
        )

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute the readers' next hidden states (..., R, D)."""
        block, attention = self.block, self.block.attention
        projected = attention.output_dropout(attention.dense(context))
        attended = attention.LayerNorm(readers + projected)
        output: Tensor = block.full_layer_layer_norm(block.ff_chunk(attended) + attended)
        return output


def albert_blocks(model: Any) -> list[AlbertBlock]:
    """List the blocks of an ALBERT in the order in which they run.

    Unfrozen blocks are copied together, so that those that are one stay one: they share weights
    with each other, and no longer with the frozen blocks before them.

    Returns:
        The blocks; most stand there several times.
    """
    groups, layers = model.encoder.albert_layer_groups, model.config.num_hidden_layers
    opened = [[AlbertBlock(block) for block in group.albert_layers] for group in groups]
    return [
        block for layer in range(layers) for block in opened[int(layer / (layers / len(groups)))]
    ]
