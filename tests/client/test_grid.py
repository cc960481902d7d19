"""Axes, grids, and tiles from coarse to fine."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bertscape.values import Axis, Grid, InvalidInput, tiles
from bertscape.values.grid import coarse_to_fine

counts = st.integers(2, 40)
grids = st.builds(
    lambda nx, ny: Grid(Axis(-1, 2, nx), None if ny is None else Axis(-1, 1, ny)),
    counts,
    st.none() | counts,
)


@given(low=st.integers(-5, 0), high=st.integers(1, 5), steps=st.integers(1, 8))
def test_whole_numbers_on_an_axis_are_exact(low: int, high: int, steps: int) -> None:
    axis = Axis(low, high, (high - low) * steps * 7 + 1)
    values = axis.values()
    assert values[0] == low
    assert values[-1] == high
    assert {0.0, 1.0} <= set(values.tolist())
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(values, np.linspace(low, high, axis.count), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 1, 1, "at least 2 points"),
        (1, 0, 3, "the lower end first"),
        (np.nan, 1, 3, "finite ends"),
        (0, np.inf, 3, "finite ends"),
        (0, 1e300, 3, r"ends between -1e\+30 and 1e\+30"),
        (-1e308, 1e308, 3, r"ends between -1e\+30 and 1e\+30"),
    ],
)
def test_impossible_axes(low: float, high: float, count: int, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        Axis(low, high, count)


def test_points_are_numbered_by_row() -> None:
    grid = Grid(Axis(0, 2, 3), Axis(10, 11, 2))
    assert grid.shape == (2, 3)
    assert grid.coordinates([0, 2, 3]).tolist() == [[0, 10], [2, 10], [0, 11]]
    assert Grid(Axis(0, 2, 3)).coordinates([2]).tolist() == [[2, 0]]
    for wrong in ([-1], [6]):
        with pytest.raises(IndexError, match="expected indices from 0 to 5"):
            grid.coordinates(wrong)


@given(grid=grids, size=st.integers(1, 50))
def test_each_point_is_in_exactly_one_tile(grid: Grid, size: int) -> None:
    cut = tiles(grid, size)
    points = [point for tile in cut for point in tile.points]
    assert sorted(points) == list(range(grid.size))
    assert [tile.index for tile in cut] == list(range(len(cut)))
    assert all(len(tile.points) == size for tile in cut[:-1])


@given(grid=grids)
def test_the_order_does_not_depend_on_the_tiles_size(grid: Grid) -> None:
    order = coarse_to_fine(grid).tolist()
    for size in (1, 16):
        assert [point for tile in tiles(grid, size) for point in tile.points] == order


@settings(max_examples=50)
@given(grid=grids, share=st.floats(0.02, 1.0))
def test_every_prefix_covers_the_whole_grid(grid: Grid, share: float) -> None:
    """After n points, no point is further from a done one than a few cells of an n-point grid."""
    done = coarse_to_fine(grid)[: max(1, int(share * grid.size))]
    rows, columns = (1, grid.size) if grid.y is None else grid.shape
    row, column = np.divmod(np.arange(grid.size), columns)
    distance = np.maximum(abs(row[:, None] - row[done]), abs(column[:, None] - column[done])).min(
        axis=1
    )
    # The coarsest square block, of side 2^k, of which the prefix holds one point each.
    side = 1
    while -(-rows // side) * -(-columns // side) > len(done):
        side *= 2
    assert distance.max() < side


def test_too_small_tiles() -> None:
    with pytest.raises(InvalidInput, match="tile points: 0; expected at least 1"):
        tiles(Grid(Axis(0, 1, 2)), 0)
