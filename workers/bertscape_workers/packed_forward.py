"""The forward pass of a BERT classifier over a block of real tokens, top to bottom.

Nothing is padded: hidden states are (rows, H), a row for each token. Of the last layer only the
first token of each example goes on to the head, so that layer computes keys and values for all
tokens and everything else for the first ones alone.

Letters: R rows of a block, n its examples, H the width, A heads of size D = H / A.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from bertscape_workers.packed_products import Activation, Linear, Products
from bertscape_workers.packed_split import Block, Group

# Keys of each example are filled up to a multiple of this many, with no weight on the filler:
# softmax over short or crooked rows is several times slower.
KEYS = 16

# Attention scores that are computed at a time; they and what they come from stay in the cache.
SCORES = 1 << 20


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer normalization."""

    weight: torch.Tensor  # (H,)
    bias: torch.Tensor  # (H,)
    epsilon: float

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(R, H) to (R, H)."""
        return functional.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The tables, of width E, and how their sum becomes the first hidden state."""

    words: torch.Tensor  # (used words, E)
    positions: torch.Tensor  # (positions, E)
    types: torch.Tensor | None  # (token types, E)
    norm: Norm
    projection: Linear | None  # E to H; None where they are equal


@dataclass(frozen=True, slots=True)
class Layer:
    """An encoder layer."""

    projections: Linear  # H to 3H: queries, keys and values
    attention_output: Linear  # H to H
    attention_norm: Norm
    expand: Linear  # H to the feed-forward width
    contract: Linear  # and back
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class LastLayer(Layer):
    """The last encoder layer; its `projections`, H to 2H, give keys and values alone."""

    queries: Linear  # H to H


@dataclass(frozen=True, slots=True)
class Head:
    """Two dense layers on the first token's state, with an activation between."""

    dense: Linear
    activation: Activation
    output: Linear  # H to K


@dataclass(frozen=True, slots=True)
class LowerPart:
    """A model at one point, up to some layer."""

    embeddings: Embeddings
    layers: tuple[Layer, ...]  # the lowest, maybe none


@dataclass(frozen=True, slots=True)
class UpperPart:
    """A model at one point, from some layer on."""

    layers: tuple[Layer, ...]  # up to the last, which is a `LastLayer`; maybe none
    head: Head


class Forward:
    """Runs blocks through models of one shape. Holds work space, but nothing that a result keeps.

    Args:
        heads: A.
        activation: between the feed-forward products; None for GELU by the error function.
        products: how matrices are multiplied.
    """

    def __init__(self, heads: int, activation: Activation | None, products: Products) -> None:
        self._heads = heads
        self._activation = activation
        self._products = products

    def states(self, model: LowerPart, block: Block) -> torch.Tensor:
        """What enters the layer above: a state for each row, (R, H) float32.

        Above the last layer stands the head, and what enters it is a state for each example's
        first token, (n rounded up, H).
        """
        return self._through(model.layers, self._embed(model.embeddings, block), block)

    def logits(self, model: UpperPart, states: torch.Tensor, block: Block) -> torch.Tensor:
        """From the `states` below, which stay as they are; (n, K) float32, in the block's order."""
        hidden = self._through(model.layers, states, block)
        return self._classify(model.head, hidden)[: len(block.examples)]

    def _through(
        self, layers: tuple[Layer, ...], hidden: torch.Tensor, block: Block
    ) -> torch.Tensor:
        for layer in layers:
            if isinstance(layer, LastLayer):
                mixed, hidden = self._attend_first(layer, hidden, block)  # (n rounded up, H) both
            else:
                mixed = self._attend(layer, hidden, block)
            hidden = self._finish(layer, mixed, hidden)
        return hidden

    def _embed(self, embeddings: Embeddings, block: Block) -> torch.Tensor:
        hidden = embeddings.words.index_select(0, block.words)
        if embeddings.types is not None:
            hidden += embeddings.types.index_select(0, block.types)
        hidden += embeddings.positions.index_select(0, block.positions)
        hidden = embeddings.norm(hidden)
        if embeddings.projection is not None:
            hidden = self._products.linear(hidden, embeddings.projection)
        return hidden

    def _finish(self, layer: Layer, mixed: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """All of a layer after attention: both residuals, and the feed-forward products."""
        products = self._products
        hidden = layer.attention_norm(products.linear_add(mixed, layer.attention_output, hidden))
        if self._activation is None:
            wide = products.linear_gelu(hidden, layer.expand)
        else:
            wide = self._activation(products.linear(hidden, layer.expand))
        return layer.output_norm(products.linear_add(wide, layer.contract, hidden))

    def _classify(self, head: Head, first: torch.Tensor) -> torch.Tensor:
        dense = head.activation(self._products.linear(first, head.dense))
        return self._products.linear(dense, head.output)

    def _attend(self, layer: Layer, hidden: torch.Tensor, block: Block) -> torch.Tensor:
        """The values of each example, mixed by its attention, (R, H)."""
        width = hidden.shape[1]
        projected = self._products.linear(hidden, layer.projections)  # (R, 3H)
        mixed = torch.empty_like(hidden)
        mixed[block.tokens :] = 0.0  # what memory held there could be slow to compute with
        shape = (3, self._heads, width // self._heads)
        for some in _parts(block.groups, self._heads):
            sentences = (some.examples, some.length)
            heads = projected[some.rows].view(*sentences, *shape)  # (e, L, 3, A, D)
            into = mixed[some.rows].view(*sentences, *shape[1:])  # (e, L, A, D)
            into.copy_(_attention(heads).transpose(1, 2))
        return mixed

    def _attend_first(
        self, layer: LastLayer, hidden: torch.Tensor, block: Block
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `_attend` for the first token of each example, and its hidden state."""
        first = hidden.index_select(0, block.first)  # (n rounded up, H)
        width = first.shape[1]
        queries = self._products.linear(first, layer.queries)
        projected = self._products.linear(hidden, layer.projections)  # (R, 2H)
        mixed = torch.zeros_like(first)
        done = 0
        for group in block.groups:
            here = slice(done, done + group.examples)
            query = queries[here].view(group.examples, self._heads, 1, -1)
            shape = (group.examples, group.length, 2, self._heads, width // self._heads)
            keys, values = projected[group.rows].view(shape).permute(2, 0, 3, 1, 4)
            answer = functional.scaled_dot_product_attention(query, keys, values)  # (e, A, 1, D)
            mixed[here].view(query.shape).copy_(answer)
            done += group.examples
        return mixed, first


def _parts(groups: tuple[Group, ...], heads: int) -> Iterator[Group]:
    """The groups, cut where their scores would be too many."""
    for group in groups:
        most = max(1, SCORES // (heads * group.length * _filled(group.length)))
        for done in range(0, group.examples, most):
            start = group.start + done * group.length
            yield Group(start, min(most, group.examples - done), group.length)


def _filled(length: int) -> int:
    return -(-length // KEYS) * KEYS


def _attention(heads: torch.Tensor) -> torch.Tensor:
    """softmax(q kᵀ / √D) v of e examples of one length L.

    Args:
        heads: queries, keys and values, (e, L, 3, A, D).

    Returns:
        (e, A, L, D).
    """
    examples, length, _, count, size = heads.shape
    keys = _filled(length)
    # Batches of matrices must lie evenly in memory, so this copies, with room for the filler.
    apart = torch.empty((3, examples, count, keys, size), dtype=heads.dtype, device=heads.device)
    apart[:, :, :, :length].copy_(heads.permute(2, 0, 3, 1, 4))
    if keys > length:
        apart[1:, :, :, length:] = 0.0
    query, key, value = apart.view(3, examples * count, keys, size)
    scores = query.new_empty((examples * count, length, keys))
    torch.baddbmm(
        scores,
        query[:, :length],
        key.transpose(1, 2),
        beta=0,
        alpha=1 / math.sqrt(size),
        out=scores,
    )
    if keys > length:
        scores[:, :, length:] = -torch.inf
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights, value).view(examples, count, length, size)
