"""Attention that stands in for a GPU's kernel: example by example, on any device."""

import itertools
import math

import torch


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    queries_of: torch.Tensor,
    keys_of: torch.Tensor,
    most_queries: int,
    most_keys: int,
) -> torch.Tensor:
    """As `packed_attention_varlen.Attend`; scores and their softmax in float32.

    What the kernel takes for granted is asserted.
    """
    assert (queries_of.dtype, keys_of.dtype) == (torch.int32, torch.int32)
    assert query.shape[1:] == key.shape[1:] == value.shape[1:]
    assert {one.stride(-1) for one in (query, key, value)} == {1}
    mixed = torch.full_like(query, torch.nan)
    places = zip(_slices(queries_of, len(query)), _slices(keys_of, len(key)), strict=True)
    for here, there in places:
        assert 0 < here.stop - here.start <= most_queries
        assert 0 < there.stop - there.start <= most_keys
        some = (query[here], key[there], value[there])
        q, k, v = (one.float().transpose(0, 1) for one in some)  # (A, L, D)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1)
        # The kernel multiplies rounded weights, and sums in float32.
        answer = weights.to(query.dtype).float() @ v
        mixed[here] = answer.transpose(0, 1).to(query.dtype)
    return mixed


def _slices(bounds: torch.Tensor, rows: int) -> list[slice]:
    places = bounds.tolist()
    assert (places[0], places[-1]) == (0, rows)  # nothing but real tokens
    return [slice(start, stop) for start, stop in itertools.pairwise(places)]
