"""Where the checkpoints of a trajectory fall on the plane."""

import math
from dataclasses import dataclass

import numpy as np

from bertscape_workers.checkpoints import distance, dot
from bertscape_workers.checkpoints.vectors import Vector

# A relative difference of squares below this is rounding: the checkpoint lies along δ1.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Projection:
    """Coordinates in units of the directions, and the distance from the plane."""

    alpha: float
    beta: float
    residual: float  # in units of ‖δ1‖


def paper_projection(delta: Vector, delta1: Vector) -> tuple[float, float]:
    """(dα, dβ) of a checkpoint, as Hao et al. 2019 draw it (§3.2).

    dα = ⟨δ, δ1⟩ / ‖δ1‖² and dβ = √((‖δ‖/‖δ1‖)² − dα²): dβ is all of δ that is not along δ1, so
    that distances from θ0 are kept.

    Args:
        delta: θ⁽ⁱ⁾ − θ0, (n,) float32.
        delta1: θ1 − θ0, (n,) float32.
    """
    squared = dot(delta1, delta1)
    alpha = dot(delta, delta1) / squared
    length = dot(delta, delta) / squared
    return alpha, _root(length - alpha * alpha, length)


def least_squares(delta: Vector, x: Vector, y: Vector | None, unit: float) -> Projection:
    """The point of the plane nearest to a checkpoint, by the normal equations in float64.

    Args:
        delta: the checkpoint minus the plane's origin, (n,) float32.
        x: the x direction, (n,) float32.
        y: the y direction, or None on a curve, whose points all have β = 0.
        unit: ‖δ1‖, the residual's unit.
    """
    if y is None:
        alpha, beta = dot(delta, x) / dot(x, x), 0.0
    else:
        mixed = dot(x, y)
        gram = np.array([[dot(x, x), mixed], [mixed, dot(y, y)]])
        target = np.array([dot(delta, x), dot(delta, y)])
        alpha, beta = (float(value) for value in np.linalg.solve(gram, target))
    return Projection(alpha, beta, distance(delta, x, y, (alpha, beta)) / unit)


def _root(difference: float, size: float) -> float:
    """√difference, if only rounding may have made it negative; else NaN, never altered."""
    if difference < 0:
        return 0.0 if -difference <= _ROUNDING * size else math.nan
    return math.sqrt(difference)
