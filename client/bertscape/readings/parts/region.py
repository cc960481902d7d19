"""The connected region around a point where values on a grid stay below a level."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Mask = NDArray[np.bool_]
_Scalar = TypeVar("_Scalar", bound=np.generic)
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))  # of a cell, in the order of its triangles


@dataclass(frozen=True, slots=True)
class Region:
    """How large it is, and whether the grid shows all of it."""

    area: float  # in the product of the axes' units
    touches_border: bool  # the region continues beyond the grid, or may
    touches_holes: bool  # or into points that were not evaluated


@dataclass(frozen=True, slots=True)
class _Mesh:
    """The grid cut into triangles: four a cell, between its corners and its middle vertex.

    On each triangle the values are linear, so that a part of it below a level is convex and holds
    a vertex: regions are connected exactly where their vertices are, along the triangles' edges.
    """

    alpha: NDArray[np.float64]  # (nx,)
    beta: NDArray[np.float64]  # (ny,)
    corners: NDArray[np.float64]  # (ny, nx): values
    middles: NDArray[np.float64]  # (ny − 1, nx − 1): values; not finite where a corner is not
    middle_alpha: NDArray[np.float64]  # (ny − 1, nx − 1)
    middle_beta: NDArray[np.float64]
    around_centre: _Mask  # (ny − 1, nx − 1): cells whose middle vertex is the centre


def region_around(
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    holes: _Mask,
    centre: tuple[float, float],
    centre_value: float,
    level: float,
) -> Region:
    """Measure the region that holds `centre` and in which the values are below `level`.

    Each cell is cut into four triangles around its middle, which has the mean of the corners; a
    cell that holds the centre is cut around the centre itself, with its own value. Values are
    linear on each triangle and the region's part of it is computed exactly: the area is exact for a
    linear function, and its error falls with the square of the grid's spacing for a smooth one.
    A triangle with a vertex that is not finite is outside.

    Args:
        alpha: x coordinates, (nx,), increasing.
        beta: y coordinates, (ny,), increasing.
        values: (ny, nx).
        holes: (ny, nx), true where nothing was evaluated.
        centre: (x, y), on the grid or between its points.
        centre_value: the value there; where it is not below `level` the region is empty.
        level: in the values' unit.
    """
    mesh = _mesh(alpha, beta, values, centre, centre_value)
    reached, middles = _flood(mesh.corners < level, mesh.middles < level, mesh.around_centre)
    in_cell = _any_corner(reached) | middles
    border = np.ones_like(reached)
    border[1:-1, 1:-1] = False
    on_border = centre[0] in (alpha[0], alpha[-1]) or centre[1] in (beta[0], beta[-1])
    return Region(
        area=_area(mesh, reached, middles, level),
        touches_border=bool((reached & border).any() or (on_border and middles.any())),
        touches_holes=bool((in_cell & _any_corner(holes)).any()),
    )


def _mesh(
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
    values: NDArray[np.float64],
    centre: tuple[float, float],
    centre_value: float,
) -> _Mesh:
    columns = (alpha[:-1] <= centre[0]) & (centre[0] <= alpha[1:])
    rows = (beta[:-1] <= centre[1]) & (centre[1] <= beta[1:])
    around = rows[:, None] & columns[None, :]
    # The sum of four finite losses may only overflow to infinity, which is outside as it should be.
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.sum([_at(values, corner) for corner in _CORNERS], axis=0) / 4
    middle_alpha = np.broadcast_to((alpha[:-1] + alpha[1:]) / 2, around.shape)
    middle_beta = np.broadcast_to(((beta[:-1] + beta[1:]) / 2)[:, None], around.shape)
    return _Mesh(
        alpha=alpha,
        beta=beta,
        corners=values,
        middles=np.where(around, centre_value, means),
        middle_alpha=np.where(around, centre[0], middle_alpha),
        middle_beta=np.where(around, centre[1], middle_beta),
        around_centre=around,
    )


def _at(corners: NDArray[_Scalar], corner: tuple[int, int]) -> NDArray[_Scalar]:
    """What stands at one corner of every cell, (ny − 1, nx − 1)."""
    row, column = corner
    return corners[row : len(corners) - 1 + row, column : corners.shape[1] - 1 + column]


def _any_corner(corners: _Mask) -> _Mask:
    """Whether any corner of each cell is true, (ny − 1, nx − 1)."""
    return corners[:-1, :-1] | corners[:-1, 1:] | corners[1:, :-1] | corners[1:, 1:]


def _flood(corners: _Mask, middles: _Mask, seeds: _Mask) -> tuple[_Mask, _Mask]:
    """The vertices, corners and middles, that paths along inside vertices reach from the seeds."""
    reached, reached_middles = np.zeros_like(corners), middles & seeds
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        for row, column in _CORNERS:
            view = grown[row : len(grown) - 1 + row, column : grown.shape[1] - 1 + column]
            view |= reached_middles
        grown &= corners
        grown_middles = (reached_middles | _any_corner(grown)) & middles
        if np.array_equal(grown, reached) and np.array_equal(grown_middles, reached_middles):
            return reached, reached_middles
        reached, reached_middles = grown, grown_middles


def _area(mesh: _Mesh, reached: _Mask, middles: _Mask, level: float) -> float:
    total = 0.0
    x, y = np.meshgrid(mesh.alpha, mesh.beta)
    for here, there in zip(_CORNERS, (*_CORNERS[1:], _CORNERS[0]), strict=True):
        edge = _at(x, there) - _at(x, here), _at(y, there) - _at(y, here)
        spoke = mesh.middle_alpha - _at(x, here), mesh.middle_beta - _at(y, here)
        areas = np.abs(edge[0] * spoke[1] - edge[1] * spoke[0]) / 2
        values = np.stack([_at(mesh.corners, here), _at(mesh.corners, there), mesh.middles])
        counted = _at(reached, here) | _at(reached, there) | middles
        total += float(np.sum(areas * _share_below(values, level) * counted))
    return total


def _share_below(values: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The share of each triangle in which its linear function is below the level.

    Args:
        values: at the three vertices, (3, …).
        level: in the same unit.
    """
    low, middle, high = np.sort(values, axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        tip = (level - low) / (middle - low) * ((level - low) / (high - low))
        rest = 1 - (high - level) / (high - low) * ((high - level) / (high - middle))
    outside = ~np.isfinite(values).all(axis=0) | ~(low < level)
    return np.select([outside, high < level, middle < level], [0.0, 1.0, rest], tip)
