"""Axes, grids and tiles: which points exist, and in which order they are evaluated.

NumPy-only mathematics in frozen dataclasses; nothing here reads a file or knows a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.values.errors import InvalidInput, ProblemType

DEFAULT_LOW, DEFAULT_HIGH, DEFAULT_COUNT = -4.0, 4.0, 40  # Hao et al. 2019, §3
DEFAULT_TILE_POINTS = 4
FARTHEST = 1e30  # of an end: a worker moves by it in float32


@dataclass(frozen=True, slots=True)
class Axis:
    """Equally spaced coordinates from `low` to `high`, both included.

    >>> Axis(-1.0, 2.0, 4).values()
    array([-1.,  0.,  1.,  2.])
    """

    low: float  # in units of ‖δ1‖ (both directions have the norm of δ1)
    high: float  # above low
    count: int  # at least 2

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high)):
            raise _invalid("grid", [self.low, self.high, self.count], "finite ends")
        if max(abs(self.low), abs(self.high)) > FARTHEST:
            between = f"ends between -{FARTHEST:g} and {FARTHEST:g}"
            raise _invalid("grid", [self.low, self.high, self.count], between)
        if self.count < 2:
            raise _invalid("grid", [self.low, self.high, self.count], "at least 2 points")
        if not self.low < self.high:
            raise _invalid("grid", [self.low, self.high, self.count], "the lower end first")

    def values(self) -> NDArray[np.float64]:
        """The coordinates, (count,) float64; 0 is exact where the spacing meets it."""
        values = np.linspace(self.low, self.high, self.count)
        # linspace leaves 1e-16 where the axis passes 0 or 1: the centres, which mean θ0 and θ1.
        step = (self.high - self.low) / (self.count - 1)
        nearest = np.round(values)
        return np.where(np.abs(values - nearest) < 1e-12 * max(step, 1.0), nearest, values)


def _invalid(key: str, value: object, expected: str) -> InvalidInput:
    return InvalidInput.of(ProblemType.INVALID_VALUE, key, value, expected)


@dataclass(frozen=True, slots=True)
class Grid:
    """The points of a plane (`y` given) or of a curve (`y` None).

    A point's index is `row * nx + column`; rows are β, columns α.
    """

    x: Axis
    y: Axis | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx) for a surface, (nx,) for a curve: the shape of every result array."""
        return (self.x.count,) if self.y is None else (self.y.count, self.x.count)

    @property
    def size(self) -> int:
        """How many points there are."""
        return int(np.prod(self.shape))

    def coordinates(self, points: Sequence[int]) -> NDArray[np.float64]:
        """(α, β) of the points with these indices, (len(points), 2) float64; a curve has β = 0."""
        index = np.asarray(points, dtype=np.int64)
        if index.size and not (index.min() >= 0 and index.max() < self.size):
            raise IndexError(f"points {points}: expected indices from 0 to {self.size - 1}")
        alpha = self.x.values()[index % self.x.count]
        beta = np.zeros_like(alpha)
        if self.y is not None:
            beta = self.y.values()[index // self.x.count]
        return np.stack([alpha, beta], axis=1)


@dataclass(frozen=True, slots=True)
class Tile:
    """A small set of grid points that one worker evaluates in one call."""

    index: int  # place in the order of evaluation, from 0
    points: tuple[int, ...]  # indices into the grid


def coarse_to_fine(grid: Grid) -> NDArray[np.int64]:
    """All point indices, ordered so that every prefix covers the whole grid evenly.

    The order is that of the bit-reversed Morton code of (row, column): the first point of every
    2^k × 2^k block comes before any second point of one, for every k at once. It depends on
    the grid's shape alone.

    >>> coarse_to_fine(Grid(Axis(0, 3, 4), Axis(0, 3, 4)))[:4]
    array([ 0, 10,  2,  8])
    """
    columns, rows = grid.x.count, 1 if grid.y is None else grid.y.count
    row, column = np.divmod(np.arange(grid.size), columns)
    bits = max(columns, rows).bit_length()
    key = np.zeros(grid.size, dtype=np.int64)
    for bit in range(bits):  # the lowest bit of a coordinate becomes the highest of the key
        row_bit, column_bit = (row >> bit) & 1, (column >> bit) & 1
        pair = (row_bit ^ column_bit) << 1 | row_bit  # diagonal neighbours first: 00, 11, 01, 10
        key = key << 2 | pair
    return np.argsort(key, kind="stable")


def tiles(grid: Grid, points_per_tile: int = DEFAULT_TILE_POINTS) -> list[Tile]:
    """Cut the grid into tiles of at most `points_per_tile` points, in coarse-to-fine order.

    The first tiles together already cover the whole grid thinly, so that an early snapshot of
    the surface shows its shape.
    """
    if points_per_tile < 1:
        raise _invalid("tile points", points_per_tile, "at least 1")
    order = [int(point) for point in coarse_to_fine(grid)]
    starts = range(0, len(order), points_per_tile)
    return [
        Tile(index, tuple(order[start : start + points_per_tile]))
        for index, start in enumerate(starts)
    ]
