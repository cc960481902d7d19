"""Attention over a block of real tokens: each example attends to itself alone.

Letters: R rows of a block, n its examples, H the width, A heads of size D = H / A; e examples of
one length L.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch.nn import functional

from bertscape_workers.evaluation.packed.split import Block, Group

# Keys of each example are filled up to a multiple of this many, with no weight on the filler:
# softmax over short or crooked rows is several times slower.
KEYS = 16

# Attention scores that are computed at a time; they and what they come from stay in the cache.
SCORES = 1 << 20


class Attention(Protocol):
    """softmax(q kᵀ / √D) v by head, within each example."""

    def mix(self, projected: torch.Tensor, block: Block) -> torch.Tensor:
        """The values of each example, mixed by its attention.

        Args:
            projected: queries, keys and values, end to end, (R, 3H).
            block: whose rows these are.

        Returns:
            (R, H); zeros in the block's filler.
        """

    def mix_first(
        self, queries: torch.Tensor, projected: torch.Tensor, block: Block
    ) -> torch.Tensor:
        """As `mix` for the first token of each example.

        Args:
            queries: of those tokens, (n rounded up, H).
            projected: keys and values of all tokens, end to end, (R, 2H).
            block: whose rows these are.

        Returns:
            (n rounded up, H); zeros in the filler.
        """


class GroupedAttention:
    """Takes the examples of one length together, as one product of batches.

    Args:
        heads: A.
    """

    def __init__(self, heads: int) -> None:
        self._heads = heads

    def mix(self, projected: torch.Tensor, block: Block) -> torch.Tensor:
        """As `Attention.mix`."""
        width = projected.shape[1] // 3
        mixed = projected.new_empty((len(projected), width))
        mixed[block.tokens :] = 0.0  # what memory held there could be slow to compute with
        shape = (3, self._heads, width // self._heads)
        for some in _parts(block.groups, self._heads):
            sentences = (some.examples, some.length)
            heads = projected[some.rows].view(*sentences, *shape)  # (e, L, 3, A, D)
            into = mixed[some.rows].view(*sentences, *shape[1:])  # (e, L, A, D)
            into.copy_(_attention(heads).transpose(1, 2))
        return mixed

    def mix_first(
        self, queries: torch.Tensor, projected: torch.Tensor, block: Block
    ) -> torch.Tensor:
        """As `Attention.mix_first`."""
        width = queries.shape[1]
        mixed = torch.zeros_like(queries)
        done = 0
        for group in block.groups:
            here = slice(done, done + group.examples)
            query = queries[here].view(group.examples, self._heads, 1, -1)
            shape = (group.examples, group.length, 2, self._heads, width // self._heads)
            keys, values = projected[group.rows].view(shape).permute(2, 0, 3, 1, 4)
            answer = functional.scaled_dot_product_attention(query, keys, values)  # (e, A, 1, D)
            mixed[here].view(query.shape).copy_(answer)
            done += group.examples
        return mixed


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
    filled = _filled(length)
    apart = heads.permute(2, 0, 3, 1, 4)  # (3, e, A, L, D)
    # Batches of matrices must lie evenly in memory, so these are copies: of keys and values with
    # room for the filler, of queries scaled on the way.
    query = heads.new_empty((examples * count, length, size))
    torch.mul(apart[0], 1 / math.sqrt(size), out=query.view(apart.shape[1:]))
    others = heads.new_empty((2, examples, count, filled, size))
    others[:, :, :, :length].copy_(apart[1:])
    if filled > length:
        others[:, :, :, length:] = 0.0
    key, value = others.view(2, examples * count, filled, size)
    scores = torch.bmm(query, key.transpose(1, 2))  # (e A, L, L filled up)
    if filled > length:
        scores[:, :, length:] = -torch.inf
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights, value).view(examples, count, length, size)
