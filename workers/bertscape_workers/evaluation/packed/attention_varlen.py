"""Attention over all examples of a block in one call, each as long as it is; for GPUs, in bfloat16.

Letters: R rows of a block, T of them real tokens, n its examples, H the width, A heads of size
D = H / A.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

from bertscape_workers.evaluation.packed.split import Block


@dataclass(frozen=True, slots=True)
class Spans:
    """Where each of n examples has its rows, end to end."""

    bounds: torch.Tensor  # (n + 1,) int32: the first row of each, and how many rows there are
    longest: int  # the most rows that one has


# Queries (Tq, A, D), keys and values (T, A, D), whose queries and whose keys these are; to
# (Tq, A, D).
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Spans, Spans], torch.Tensor]

# The kernel's limits, beside its formats float16 and bfloat16.
_HEAD_MULTIPLE, _LARGEST_HEAD = 8, 256


def fits(width: int, heads: int) -> bool:
    """Whether the kernel takes heads of this size."""
    size = width // heads
    return size % _HEAD_MULTIPLE == 0 and size <= _LARGEST_HEAD


def flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, queries: Spans, keys: Spans
) -> torch.Tensor:
    """softmax(q kᵀ / √D) v within each example, by torch's kernel, which keeps scores in float32.

    Arguments and result are those of `Attend`, on a GPU, in float16 or bfloat16.
    """
    mixed = varlen_attn(
        query, key, value, queries.bounds, keys.bounds, queries.longest, keys.longest
    )
    return cast(torch.Tensor, mixed)  # a pair only if more than that is asked for


class VarlenAttention:
    """Gives all examples of a block to the kernel at once, without the block's filler.

    Args:
        heads: A; `fits` says whether the kernel takes them.
        attend: what computes it.
    """

    def __init__(self, heads: int, attend: Attend = flash) -> None:
        self._heads = heads
        self._attend = attend

    def mix(self, projected: torch.Tensor, block: Block) -> torch.Tensor:
        """As `Attention.mix`."""
        query, key, value = self._apart(projected, block.tokens, 3)
        spans = _spans(block)
        mixed = self._attend(query, key, value, spans, spans)
        return _filled(mixed, len(projected))

    def mix_first(
        self, queries: torch.Tensor, projected: torch.Tensor, block: Block
    ) -> torch.Tensor:
        """As `Attention.mix_first`."""
        examples = len(block.examples)
        (query,) = self._apart(queries, examples, 1)
        key, value = self._apart(projected, block.tokens, 2)
        places = torch.arange(examples + 1, dtype=torch.int32, device=queries.device)
        mixed = self._attend(query, key, value, Spans(places, 1), _spans(block))
        return _filled(mixed, len(queries))

    def _apart(self, rows: torch.Tensor, count: int, parts: int) -> tuple[torch.Tensor, ...]:
        """The first `count` rows, (rows, parts·H), as `parts` tensors (count, A, D)."""
        return rows[:count].view(count, parts, self._heads, -1).unbind(dim=1)


def _spans(block: Block) -> Spans:
    return Spans(block.bounds, max(group.length for group in block.groups))


def _filled(mixed: torch.Tensor, rows: int) -> torch.Tensor:
    """(T, A, D) as (rows, H), zeros in what is added."""
    flat = mixed.reshape(len(mixed), -1)
    return flat if len(flat) == rows else functional.pad(flat, (0, 0, 0, rows - len(flat)))
