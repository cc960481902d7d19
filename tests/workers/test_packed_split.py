"""Cutting a split into blocks of whole examples, and numbering its tokens."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

from bertscape_workers.admission.memory import PACKED_TOKEN
from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation.packed.split import (
    ROWS,
    Block,
    Group,
    pack,
    position_ids,
    used_words,
)

PADDING = 1
CPU = torch.device("cpu")


def make_split(lengths: list[int], seed: int = 0, types: bool = True) -> TokenizedSplit:
    generator = np.random.default_rng(seed)
    count = sum(lengths)
    return TokenizedSplit(
        tokens=generator.integers(0, 50, count).astype(np.int32),
        token_types=generator.integers(0, 2, count).astype(np.int32) if types else None,
        lengths=np.array(lengths, dtype=np.int32),
        labels=np.zeros(len(lengths), dtype=np.int64),
    )


LENGTHS = [7, 3, 12, 3, 7, 40, 5, 3]


def packed(split: TokenizedSplit, limit: int) -> tuple[Block, ...]:
    positions = position_ids(split, None)
    return pack(split, used_words([split]), positions, limit, CPU)


@pytest.mark.parametrize("limit", [1, 10, 24, 1000])
def test_every_example_is_in_one_block_token_for_token(limit: int) -> None:
    split = make_split(LENGTHS)
    words = used_words([split])
    assert split.token_types is not None
    seen = []
    for block in packed(split, limit):
        place = iter(block.examples.tolist())
        for group, at in each_example(block):
            example = next(place)
            seen.append(example)
            assert split.lengths[example] == group.length
            start = group.start + at * group.length
            rows = slice(start, start + group.length)
            there = slice(split.starts[example], split.starts[example] + group.length)
            assert words[block.words[rows]].tolist() == split.tokens[there].tolist()
            assert block.types[rows].tolist() == split.token_types[there].tolist()
            assert block.positions[rows].tolist() == list(range(group.length))
            assert block.first[len(seen) - 1 - _before(seen, block)] == start
    assert sorted(seen) == list(range(len(split)))
    assert seen == split.by_length.tolist()


def each_example(block: Block) -> Iterator[tuple[Group, int]]:
    return ((group, at) for group in block.groups for at in range(group.examples))


def _before(seen: list[int], block: Block) -> int:
    """How many examples came in earlier blocks."""
    return seen.index(int(block.examples[0]))


def test_blocks_hold_at_most_the_limit_or_one_example() -> None:
    blocks = packed(make_split(LENGTHS), 24)
    assert [block.tokens for block in blocks] == [21, 19, 40]
    assert all(len(block.words) % ROWS == 0 for block in blocks)
    assert all(len(block.first) % ROWS == 0 for block in blocks)


@pytest.mark.parametrize("types", [True, False])
@pytest.mark.parametrize("padding", [None, PADDING])
def test_packing_takes_what_is_stated(types: bool, padding: int | None) -> None:
    lengths = np.random.default_rng(0).integers(20, 120, 6000).tolist()
    split = make_split(lengths, types=types)
    packed(split, 3072)  # what is set up once
    tracemalloc.start()
    words = used_words([split])
    blocks = pack(split, words, position_ids(split, padding), 3072, CPU)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {one.words.dtype for one in blocks} == {torch.int32}
    tokens, examples = sum(lengths), len(lengths)
    # An example has its place, its first row, its bound, and its part of the objects around them.
    assert 12 * tokens < held < 12.5 * tokens + 100 * examples
    assert peak < PACKED_TOKEN * tokens + 100 * examples


def test_a_split_without_token_types_is_all_of_the_first_type() -> None:
    (block,) = packed(make_split([4, 2], types=False), 100)
    assert not block.types.any()


def test_positions_after_the_padding_are_those_of_roberta() -> None:
    split = make_split([9, 1, 30, 4], seed=3)
    split.tokens[[0, 5, 9, 20]] = PADDING  # a text may hold the padding's own token
    expected = [
        position
        for start, length in zip(split.starts, split.lengths, strict=True)
        for position in RobertaEmbeddings.create_position_ids_from_input_ids(
            torch.from_numpy(split.tokens[start : start + length].astype(np.int64))[None], PADDING
        )[0].tolist()
    ]
    assert position_ids(split, PADDING).tolist() == expected


@pytest.mark.parametrize("rows", [1, 8])
def test_a_block_is_filled_up_as_asked_and_bounds_its_examples(rows: int) -> None:
    split = make_split(LENGTHS)
    blocks = pack(split, used_words([split]), position_ids(split, None), 24, CPU, rows)
    for block in blocks:
        assert (len(block.words) % rows, len(block.first) % rows) == (0, 0)
        assert len(block.words) - block.tokens < rows
        assert block.bounds.dtype == torch.int32
        lengths = split.lengths[block.examples.numpy()]
        assert block.bounds.tolist() == [0, *np.cumsum(lengths).tolist()]
        assert block.bounds[-1] == block.tokens
