"""Attention that stands in for a GPU's kernel: example by example, on any device."""

import itertools
import math

import torch

from bertscape_workers.evaluation.packed.attention_varlen import Spans


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, queries: Spans, keys: Spans
) -> torch.Tensor:
    """As `packed_attention_varlen.Attend`; scores and their softmax in float32.

    What the kernel takes for granted is asserted.
    """
    assert (queries.bounds.dtype, keys.bounds.dtype) == (torch.int32, torch.int32)
    assert query.shape[1:] == key.shape[1:] == value.shape[1:]
    assert {one.stride(-1) for one in (query, key, value)} == {1}
    mixed = torch.full_like(query, torch.nan)
    for here, there in zip(_slices(queries, query), _slices(keys, key), strict=True):
        some = (query[here], key[there], value[there])
        q, k, v = (one.float().transpose(0, 1) for one in some)  # (A, L, D)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1)
        # The kernel multiplies rounded weights, and sums in float32.
        answer = weights.to(query.dtype).float() @ v
        mixed[here] = answer.transpose(0, 1).to(query.dtype)
    return mixed


def _slices(spans: Spans, rows: torch.Tensor) -> list[slice]:
    places = spans.bounds.tolist()
    assert (places[0], places[-1]) == (0, len(rows))  # nothing but real tokens
    slices = [slice(start, stop) for start, stop in itertools.pairwise(places)]
    assert all(0 < one.stop - one.start <= spans.longest for one in slices)
    return slices
