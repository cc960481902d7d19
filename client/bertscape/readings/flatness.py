"""How flat the optimum is: the rise of the training loss at a given distance from θ1."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.readings.end_point import EndPoint, end_point, rise_at
from bertscape.readings.parts import Estimate, reading, require_positive, y_unit
from bertscape.results import Surface

DEFAULT_RADII = (0.25, 0.5, 1.0)  # in ‖δ1‖

_ANGLES = 720  # points on a circle, every half degree


@dataclass(frozen=True, slots=True)
class CircleRise:
    """The rise of the training loss above θ1 on a circle around it."""

    radius: float  # in ‖δ1‖
    mean: Estimate  # nat; over the part of the circle that is known
    maximum: Estimate  # nat; a lower bound if parts of the circle are unknown
    known: float  # share of the circle with finite values, from 0 to 1


@reading
def circle_rise(surface: Surface, radius: float) -> CircleRise | None:
    """Measure the mean and the maximum of J(α, β) − J(θ1) on a circle around θ1.

    The circle is one of the picture, around θ1 in (α, β), taken at 720 equal angles with bilinear
    interpolation; the parts outside the grid, and those with a neighbour that is not finite, are
    left out and counted. On a layer-group surface, whose directions differ in length, it is the
    circle of radius · ‖δ1ᴳ‖ (`y_unit`): in (α, β) an ellipse. On a curve it is the two points at
    that distance.

    The paper calls an optimum flat if such a rise is small, and shows it by contour lines
    (Hao et al. 2019).

    Error: all points of the circle are moved together, which is an upper bound for the mean: by
    the paired standard error of a rise if the surface has it, else by the sum of both points'. The
    maximum of noisy values is too high on average; its interval does not say by how much.

    Args:
        surface: a surface or a curve, whole or with holes.
        radius: in units of ‖δ1‖, or ‖δ1ᴳ‖; above 0.

    Returns:
        None if the grid does not hold θ1. Both rises are NaN if nothing of the circle is
        known.

    Raises:
        InvalidInput: a radius that is not above 0.
    """
    require_positive("radius", radius)
    end = end_point(surface)
    if end is None:
        return None
    above = rise_at(surface, end, _circle(surface, end, radius))
    known = np.isfinite(above.values)

    def of(reduce: Callable[[NDArray[np.float64]], np.float64]) -> Estimate:
        def measure(z: float) -> float:
            values = above.shifted(z)
            return math.nan if values is None or not known.any() else float(reduce(values[known]))

        return Estimate.shifted(measure)

    return CircleRise(radius, mean=of(np.mean), maximum=of(np.max), known=float(known.mean()))


def circle_rises(
    surface: Surface, radii: Sequence[float] = DEFAULT_RADII
) -> tuple[CircleRise, ...]:
    """`circle_rise` for each radius; empty if there is none."""
    found = (circle_rise(surface, radius) for radius in radii)
    return tuple(circle for circle in found if circle is not None)


def _circle(surface: Surface, end: EndPoint, radius: float) -> NDArray[np.float64]:
    """Points (α, β) at that distance from θ1, (m, 2)."""
    if surface.beta is None:
        return np.array([[end.alpha - radius, 0.0], [end.alpha + radius, 0.0]])
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    step = radius * np.array([1.0, 1.0 / y_unit(surface)])
    points: NDArray[np.float64] = np.array(end.place) + step * np.round(unit, 15)
    return points
