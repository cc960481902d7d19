"""The size of an optimum as an estimate that says if the grid does not show all of it."""

import dataclasses
import math

from bertscape.readings.parts import Estimate, directions, is_random
from bertscape.readings.width import OptimumArea, OptimumLength
from bertscape.results import Surface


def size_of(found: OptimumArea | OptimumLength) -> Estimate:
    """The area or the length; its interval has no upper end if the region may continue."""
    size = found.area if isinstance(found, OptimumArea) else found.length
    return open_ended(size, found)


def radius_in_space(surface: Surface, found: OptimumArea) -> Estimate | None:
    """Of the circle with the area that the region has on the plane itself, in parameter space.

    Returns:
        None if y is a random direction, whose length is not recorded.
    """
    if is_random(surface):
        return None
    plane = directions(surface)
    factor = surface.findings.delta1_norm
    factor *= 1.0 if plane is None else math.sqrt(plane.area_factor)
    radius = found.radius
    scaled = (radius.value, radius.stderr, radius.low, radius.high)
    return open_ended(Estimate(*(factor * number for number in scaled)), found)


def open_ended(size: Estimate, found: OptimumArea | OptimumLength) -> Estimate:
    """A size whose interval has no upper end if the region may continue beyond the grid."""
    if (at_least(found) or found.interval_touches) and not math.isnan(size.low):
        return dataclasses.replace(size, high=math.inf)
    return size


def at_least(found: OptimumArea | OptimumLength) -> bool:
    """Whether the region reaches the grid's border, or points that were not evaluated."""
    return found.touches_border or found.touches_holes
