"""Ranks with ties, and what is computed from them."""

import math

import numpy as np
from numpy.typing import NDArray


def average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, where equal values share the mean of their ranks; (n,) → (n,).

    >>> average_ranks(np.array([3.0, 1.0, 3.0, 2.0]))
    array([3.5, 1. , 3.5, 2. ])
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return means


def standardised_ranks(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Average ranks with mean 0 and length 1, (n,); None if all values are equal."""
    centred = average_ranks(values) - (len(values) + 1) / 2
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0 else None


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's ρ: Pearson's correlation of average ranks; NaN where all of x or y are equal."""
    first, second = standardised_ranks(x), standardised_ranks(y)
    if first is None or second is None:
        return math.nan
    return float(np.clip(first @ second, -1.0, 1.0))


def lowest(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Membership of each value in the `count` lowest, from 0 to 1, (n,); sums to `count`.

    Values that tie for the last places share them equally, whatever their order.

    >>> lowest(np.array([2.0, 0.0, 1.0, 1.0]), 2)
    array([0. , 1. , 0.5, 0.5])
    """
    edge = np.partition(values, count - 1)[count - 1]
    below, tied = values < edge, values == edge
    share = (count - np.count_nonzero(below)) / np.count_nonzero(tied)
    return np.where(below, 1.0, np.where(tied, share, 0.0))
