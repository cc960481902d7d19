"""A split as one array of real tokens: no padding, blocks of whole examples, groups of one length.

Examples lie end to end in order of length, and are cut into blocks; a forward pass takes one block
at a time. Everything except attention sees only rows of tokens. Attention takes a block's examples
group by group, each of one length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bertscape_workers.data import TokenizedSplit

# Blocks are filled up to a multiple of this many rows, and so are their first tokens: matrix
# products are set up again for each count of rows, and few counts are kept set up.
ROWS = 16

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring examples of one length in a block."""

    start: int  # row of the first token of the first example
    examples: int
    length: int  # tokens of each

    @property
    def rows(self) -> slice:
        """The rows of the block that are theirs."""
        return slice(self.start, self.start + self.examples * self.length)


@dataclass(frozen=True, slots=True)
class Block:
    """Some examples of a split; the first `tokens` of its R rows are theirs, the rest filler."""

    examples: torch.Tensor  # (n,) int64: their places in the file
    groups: tuple[Group, ...]  # all n examples
    tokens: int
    words: torch.Tensor  # (R,) int32: rows of the used words' embeddings
    positions: torch.Tensor  # (R,) int32: rows of the position embeddings
    types: torch.Tensor  # (R,) int32: rows of the token-type embeddings
    first: torch.Tensor  # (n, rounded up) int32: the row of each example's first token
    bounds: torch.Tensor  # (n + 1,) int32: the same row, and at the end `tokens`


def used_words(splits: Sequence[TokenizedSplit]) -> Ints:
    """The token ids that occur in any of the splits, ascending, (words,)."""
    found = np.unique(np.concatenate([np.unique(split.tokens) for split in splits]))
    return found.astype(np.int64)


def position_ids(split: TokenizedSplit, padding: int | None) -> NDArray[np.int32]:
    """The position embedding of each token, (T,).

    Args:
        split: its tokens.
        padding: None if positions count from 0. Else as RoBERTa numbers them: from
            padding + 1, over tokens that are not this id; one that is stands at `padding`.
    """
    real = np.ones(len(split.tokens), dtype=np.int32)
    if padding is not None:
        real[split.tokens == padding] = 0
    # In place, because these are as long as the split.
    ids: NDArray[np.int32] = np.cumsum(real, dtype=np.int32)
    starts = split.starts
    ids -= np.repeat(ids[starts] - real[starts], split.lengths)
    ids *= real
    ids += -1 if padding is None else padding
    return ids


def pack(
    split: TokenizedSplit,
    words: Ints,
    positions: NDArray[np.int32],
    limit: int,
    device: torch.device,
    rows: int = ROWS,
) -> tuple[Block, ...]:
    """Cut a split into blocks, shortest examples first.

    Args:
        split: its examples, none of them empty.
        words: every token id that occurs, ascending.
        positions: of each token, (T,).
        limit: tokens in a block; a longer example is a block by itself.
        device: where the blocks lie.
        rows: blocks are filled up to a multiple of this many.
    """
    starts = split.starts
    return tuple(
        _block(split, examples, starts[examples], words, positions, device, rows)
        for examples in _cut(split.by_length, split.lengths, limit)
        if len(examples)
    )


def _cut(order: Ints, lengths: NDArray[np.int32], limit: int) -> Iterator[Ints]:
    """The longest runs of examples whose tokens fit in `limit`."""
    first, tokens = 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        if place > first and tokens + length > limit:
            yield order[first:place]
            first, tokens = place, 0
        tokens += length
    yield order[first:]


def _block(
    split: TokenizedSplit,
    examples: Ints,
    starts: Ints,
    words: Ints,
    positions: NDArray[np.int32],
    device: torch.device,
    rows: int,
) -> Block:
    """The block of these examples, which begin in the split at `starts`."""
    lengths = split.lengths[examples].astype(np.int64)
    ends = np.cumsum(lengths)
    count = int(ends[-1])
    # Where each token of the block lies in the split.
    places = np.arange(count) + np.repeat(starts - (ends - lengths), lengths)

    def column(values: NDArray[np.integer]) -> torch.Tensor:
        filled = np.zeros(-(-len(values) // rows) * rows, dtype=np.int32)
        filled[: len(values)] = values
        return torch.from_numpy(filled).to(device)

    no_types = np.zeros(count, dtype=np.int32)
    return Block(
        examples=torch.from_numpy(examples),
        groups=tuple(_groups(lengths)),
        tokens=count,
        words=column(np.searchsorted(words, split.tokens[places])),
        positions=column(positions[places]),
        types=column(no_types if split.token_types is None else split.token_types[places]),
        first=column(ends - lengths),
        bounds=torch.tensor([0, *ends.tolist()], dtype=torch.int32).to(device),
    )


def _groups(lengths: Ints) -> Iterator[Group]:
    """Runs of one length; `lengths` (n,) ascend."""
    start = 0
    for length, examples in zip(*np.unique(lengths, return_counts=True), strict=True):
        yield Group(start, int(examples), int(length))
        start += int(examples) * int(length)
