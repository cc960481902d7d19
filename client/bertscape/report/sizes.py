"""The size of an optimum as an estimate that says where the grid does not show all of it."""

import dataclasses
import math
from dataclasses import dataclass

from bertscape.readings import Estimate, OptimumArea, OptimumLength, directions
from bertscape.readings.directions import is_random
from bertscape.surface import Surface


def size_of(found: OptimumArea | OptimumLength) -> Estimate:
    """The area or the length; its interval has no upper end where the region may go on."""
    size = found.area if isinstance(found, OptimumArea) else found.length
    return _open_ended(size, found)


@dataclass(frozen=True, slots=True)
class Units:
    """What sizes on a surface of all layers, or on a curve, are counted in."""

    beta: str  # a step of 1 along β
    area: str
    circle: str  # a radius of 1


def units_of(surface: Surface) -> Units:
    """Those of the picture: ‖δ1‖, but for what a random direction has a part in."""
    if is_random(surface):
        return Units("‖δ2‖", "‖δ1‖·‖δ2‖", "axis units")
    return Units("‖δ1‖", "‖δ1‖²", "‖δ1‖")


def radius_in_space(surface: Surface, found: OptimumArea) -> Estimate | None:
    """Of the circle with the area that the region has on the plane itself, in parameter space.

    Returns:
        None where y is a random direction, whose length is not recorded.
    """
    if is_random(surface):
        return None
    plane = directions(surface)
    factor = surface.findings.delta1_norm
    factor *= 1.0 if plane is None else math.sqrt(plane.area_factor)
    radius = found.radius
    scaled = (radius.value, radius.stderr, radius.low, radius.high)
    return _open_ended(Estimate(*(factor * number for number in scaled)), found)


def _open_ended(size: Estimate, found: OptimumArea | OptimumLength) -> Estimate:
    if (at_least(found) or found.interval_touches) and not math.isnan(size.low):
        return dataclasses.replace(size, high=math.inf)
    return size


def at_least(found: OptimumArea | OptimumLength) -> bool:
    """Whether the region reaches the grid's border, or points that were not evaluated."""
    return found.touches_border or found.touches_holes
