"""Norms and dot products of float32 vectors, accumulated in float64, a block at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

_BLOCK = 1 << 20  # floats: a float64 copy of a whole backbone would double its memory


def dot(left: Vector, right: Vector) -> float:
    """⟨left, right⟩ of two (n,) vectors, in float64."""
    return float(sum(_products(left, right)))


def norm(vector: Vector) -> float:
    """‖vector‖ of an (n,) vector, in float64."""
    return float(np.sqrt(dot(vector, vector)))


def distance(point: Vector, x: Vector, y: Vector | None, at: tuple[float, float]) -> float:
    """‖point − αx − βy‖ of (n,) vectors at (α, β), in float64."""
    alpha, beta = at
    total = 0.0
    for block in _blocks(point):
        rest = point[block] - alpha * x[block].astype(np.float64)
        if y is not None:
            rest -= beta * y[block].astype(np.float64)
        total += float(np.square(rest).sum())
    return float(np.sqrt(total))


def scale(vector: Vector, factor: float) -> None:
    """Multiply in place, rounding each product once."""
    for block in _blocks(vector):
        vector[block] = vector[block].astype(np.float64) * factor


def _products(left: Vector, right: Vector) -> Iterator[float]:
    for block in _blocks(left):
        products = left[block].astype(np.float64) * right[block]
        yield float(products.sum())  # pairwise: no BLAS, so no dependence on its threads


def _blocks(vector: Vector) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, len(vector), _BLOCK))
