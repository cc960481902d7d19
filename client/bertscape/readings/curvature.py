"""How sharply the training loss bends at θ1, along each axis."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.readings.end_point import end_point, line_through, rise_stderr
from bertscape.readings.parts import Estimate, interpolate, reading, y_unit
from bertscape.results import Surface
from bertscape.values import InvalidInput, ProblemType

DEFAULT_POINTS = 5  # if θ1 is a grid point: itself, and two on each side

_FEWEST = 3  # that determine a parabola


@dataclass(frozen=True, slots=True)
class Curvature:
    """The second derivative of the training loss along one axis."""

    axis: str  # "x" or "y"
    curvature: Estimate  # nat/‖δ1‖²
    points: int  # that the parabola was fitted to
    low: float  # the first and the last of them, as coordinates
    high: float
    residual: float  # nat: root mean square of what the parabola leaves
    stderr_at_most: float  # nat/‖δ1‖²: whatever the correlation of the points' errors


@reading
def curvature(surface: Surface, axis: str = "x", points: int = DEFAULT_POINTS) -> Curvature | None:
    """Fit a parabola a + b·t + ½·c·t² to the grid points nearest to θ1; c is the curvature.

    The points are those of the line through θ1 along the axis, by least squares with equal weights.
    If θ1 lies between two grid lines, the line's points are interpolated from both: exact where
    the loss is a parabola. Points that are not finite are left out. Where the fit is poor, which
    `residual` shows, the curvature is that of a coarse look over [low, high]. On a layer-group
    surface it is by ‖δ1ᴳ‖² along both axes (`y_unit`).

    The paper has no such number; it shows flatness by the distance of contour lines (Hao et al.
    2019).

    Error: c is a weighted sum Σ w·J of losses on the same examples, at neighbouring points. Their
    errors are taken to be one and the same variate, times the standard error s of each point,
    which makes the standard error |Σ w·s|. That is an estimate, good where neighbours are strongly
    correlated, and no bound: it is too small where s changes linearly along the line.
    `stderr_at_most`, Σ |w|·s, is the bound for any correlation, and grows without limit as the
    grid gets finer. The weights sum to zero, so that the rises above θ1 have the same curvature: on
    the surface of a job that is `paired`, s is the standard error of a rise in this bound, if that
    makes it smaller. How far the loss is from a parabola is in neither.

    Args:
        surface: a surface or a curve, whole or with holes.
        axis: "x", or "y" of a surface.
        points: how many grid points to fit to; at least 3.

    Returns:
        None if the grid does not hold θ1, or has no such axis. The curvature is NaN if fewer
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
    loss, stderr, paired = (
        interpolate(surface.alpha, surface.beta, values, line[nearest])
        for values in (
            surface.train_loss,
            surface["train_loss_stderr"],
            rise_stderr(surface, end),
        )
    )
    finite = np.isfinite(loss)
    places = line[nearest][finite, column]
    if len(places) < _FEWEST:
        nothing = Estimate.of(math.nan, math.nan)
        return Curvature(axis, nothing, len(places), math.nan, math.nan, math.nan, math.nan)
    unit = y_unit(surface) if axis == "y" else 1.0
    weights, residual = _fit(unit * (places - end.place[column]), loss[finite])
    spread = stderr[finite]
    at_most, at_most_paired = (float(np.abs(weights) @ one[finite]) for one in (stderr, paired))
    return Curvature(
        axis=axis,
        curvature=Estimate.of(float(weights @ loss[finite]), abs(float(weights @ spread))),
        points=len(places),
        low=float(places.min()),
        high=float(places.max()),
        residual=residual,
        stderr_at_most=float(np.fmin(at_most, at_most_paired)),
    )


def _check(axis: str, points: int) -> None:
    if axis not in ("x", "y"):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "axis", axis, "x or y")
    if points < _FEWEST:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "points", points, "at least 3")


def _fit(t: NDArray[np.float64], loss: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The weights w, (n,), of the second derivative Σ w·loss at t = 0, and the fit's residual."""
    scale = float(np.abs(t).max())
    unit = t / scale  # so that the three columns are of like size
    columns = np.stack([np.ones_like(unit), unit, unit**2 / 2], axis=1)
    solver = np.linalg.pinv(columns)  # (3, n)
    residual = loss - columns @ (solver @ loss)
    return solver[2] / scale**2, float(np.sqrt(np.mean(residual**2)))
