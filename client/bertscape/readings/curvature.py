"""How sharply the training loss bends at θ1, along each axis."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.errors import InvalidInput, ProblemType
from bertscape.readings.end_point import end_point, line_through
from bertscape.readings.estimate import Estimate
from bertscape.readings.interpolation import interpolate
from bertscape.surface import Surface

DEFAULT_POINTS = 5  # where θ1 is a grid point: itself, and two on each side

_FEWEST = 3  # that determine a parabola


@dataclass(frozen=True, slots=True)
class Curvature:
    """The second derivative of the training loss along one axis."""

    axis: str  # "x" or "y"
    curvature: Estimate  # nat/‖δ1‖²
    points: int  # that the parabola was fitted to
    low: float  # the first and the last of them, in ‖δ1‖
    high: float
    residual: float  # nat: root mean square of what the parabola leaves


def curvature(surface: Surface, axis: str = "x", points: int = DEFAULT_POINTS) -> Curvature | None:
    """Fit a parabola a + b·t + ½·c·t² to the grid points nearest to θ1; c is the curvature.

    The points are those of the line through θ1 along the axis, by least squares with equal weights.
    Where θ1 lies between two grid lines, the line's points are interpolated from both: exact where
    the loss is a parabola. Points that are not finite are left out. Where the fit is poor, which
    `residual` shows, the curvature is that of a coarse look over [low, high].

    The paper has no such number; it shows flatness by the distance of contour lines (Hao et al.
    2019, "Wide and Flat Optima Lead to Better Generalization").

    Error: c is a weighted sum of losses on the same examples. Of neighbouring points it is assumed
    that their errors do not go against each other (correlation from 0 to 1). The standard error
    is then at most √(P² + N²), with P and N the sums of |weight| · standard error over
    positive and over negative weights; that bound is given. How far the loss is from a parabola is
    not in it.

    Args:
        surface: a surface or a curve, whole or with holes.
        axis: "x", or "y" of a surface.
        points: how many grid points to fit to; at least 3.

    Returns:
        None where the grid does not hold θ1, or has no such axis. The curvature is NaN where fewer
        than three of the points are finite.

    Raises:
        InvalidInput: another axis, or too few points.
    """
    _check(axis, points)
    end = end_point(surface)
    if end is None or (axis == "y" and surface.beta is None):
        return None
    line = line_through(surface, end, axis)
    column = "xy".index(axis)
    nearest = np.argsort(np.abs(line[:, column] - end.place[column]), kind="stable")[:points]
    loss, stderr = (
        interpolate(surface.alpha, surface.beta, surface[name], line[nearest])
        for name in ("train_loss", "train_loss_stderr")
    )
    finite = np.isfinite(loss)
    places = line[nearest][finite, column]
    if len(places) < _FEWEST:
        nothing = Estimate.of(math.nan, math.nan)
        return Curvature(axis, nothing, len(places), math.nan, math.nan, math.nan)
    fitted, residual = _fit(places - end.place[column], loss[finite], stderr[finite])
    low, high = float(places.min()), float(places.max())
    return Curvature(axis, fitted, len(places), low, high, residual)


def _check(axis: str, points: int) -> None:
    if axis not in ("x", "y"):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "axis", axis, "x or y")
    if points < _FEWEST:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "points", points, "at least 3")


def _fit(
    t: NDArray[np.float64], loss: NDArray[np.float64], stderr: NDArray[np.float64]
) -> tuple[Estimate, float]:
    """The second derivative at t = 0 with its error, and the residual; all (n,), n ≥ 3."""
    scale = float(np.abs(t).max())
    unit = t / scale  # so that the three columns are of like size
    columns = np.stack([np.ones_like(unit), unit, unit**2 / 2], axis=1)
    solver = np.linalg.pinv(columns)  # (3, n)
    residual = loss - columns @ (solver @ loss)
    weights = solver[2] / scale**2
    positive = float(np.sum(np.maximum(weights, 0) * stderr))
    negative = float(np.sum(np.maximum(-weights, 0) * stderr))
    value = Estimate.of(float(weights @ loss), math.hypot(positive, negative))
    return value, float(np.sqrt(np.mean(residual**2)))
