"""The values of a surface between its grid points."""

import itertools

import numpy as np
from numpy.typing import NDArray

from bertscape.results import Surface

_ROUNDING = 1e-12  # of a cell: a point this near a grid line lies on it


def interpolate(
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64] | None,
    values: NDArray[np.float64],
    points: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Bilinear interpolation on a surface, linear on a curve.

    Args:
        alpha: x coordinates, (nx,), increasing.
        beta: y coordinates, (ny,), increasing; None of a curve.
        values: (ny, nx), or (nx,) of a curve.
        points: (α, β) of the points, (m, 2); a curve has only points with β = 0.

    Returns:
        (m,) float64. NaN outside the grid, and where a neighbour with any weight is NaN; on a
        grid line the neighbours beside it have none.
    """
    axes, places = [alpha], [points[:, 0]]
    if beta is not None:
        axes, places = [beta, alpha], [points[:, 1], points[:, 0]]
    cells = [_cell(axis, place) for axis, place in zip(axes, places, strict=True)]
    inside = np.all(
        [(axis[0] <= at) & (at <= axis[-1]) for axis, at in zip(axes, places, strict=True)], axis=0
    )
    if beta is None:
        inside &= points[:, 1] == 0
    total = np.zeros(len(points))
    for corner in itertools.product((0, 1), repeat=len(axes)):
        weight = np.ones(len(points))
        for (_, share), side in zip(cells, corner, strict=True):
            weight = weight * (share if side else 1 - share)
        index = tuple(first + side for (first, _), side in zip(cells, corner, strict=True))
        with np.errstate(invalid="ignore"):
            total += np.where(weight > 0, weight * values[index], 0.0)
    return np.where(inside, total, np.nan)


def evaluated_only(surface: Surface) -> NDArray[np.float64]:
    """0 where a value was computed, NaN in holes, so that interpolating shows what hangs on holes.

    Returns:
        (ny, nx), or (nx,) of a curve.
    """
    return np.where(surface.evaluated == 0, np.nan, 0.0)


def _cell(
    axis: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cell of each place, and how far into it the place is, from 0 to 1."""
    first = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2)
    share = (at - axis[first]) / (axis[first + 1] - axis[first])
    share = np.where(np.abs(share) < _ROUNDING, 0.0, share)
    return first, np.where(np.abs(1 - share) < _ROUNDING, 1.0, share)
