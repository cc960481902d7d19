"""The forward pass of a BERT classifier over a block of real tokens, top to bottom.

Nothing is padded: hidden states are (rows, H), a row for each token. Of the last layer only the
first token of each example goes on to the head, so that layer computes keys and values for all
tokens and everything else for the first ones alone.

Letters: R rows of a block, n its examples, H the width.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from bertscape_workers.evaluation.packed.attention import Attention
from bertscape_workers.evaluation.packed.products import Activation, Linear, Products
from bertscape_workers.evaluation.packed.split import Block


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
    projection: Linear | None  # E to H; None if they are equal


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
    """Runs blocks through models of one shape.

    Args:
        attention: how the tokens of an example see one another.
        activation: between the feed-forward products; None for GELU by the error function.
        products: how matrices are multiplied.
    """

    def __init__(
        self, attention: Attention, activation: Activation | None, products: Products
    ) -> None:
        self._attention = attention
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
        return self._attention.mix(self._products.linear(hidden, layer.projections), block)

    def _attend_first(
        self, layer: LastLayer, hidden: torch.Tensor, block: Block
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `_attend` for the first token of each example, and its hidden state."""
        first = hidden.index_select(0, block.first)  # (n rounded up, H)
        queries = self._products.linear(first, layer.queries)
        projected = self._products.linear(hidden, layer.projections)  # (R, 2H)
        return self._attention.mix_first(queries, projected, block), first
