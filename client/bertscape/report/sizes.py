"""The size of an optimum as an estimate that says where the grid does not show all of it."""

import dataclasses
import math

from bertscape.readings import Estimate, OptimumArea, OptimumLength


def size_of(found: OptimumArea | OptimumLength) -> Estimate:
    """The area or the length; its interval has no upper end where the region may go on."""
    size = found.area if isinstance(found, OptimumArea) else found.length
    open_ended = at_least(found) or found.interval_touches
    if open_ended and not math.isnan(size.low):
        return dataclasses.replace(size, high=math.inf)
    return size


def at_least(found: OptimumArea | OptimumLength) -> bool:
    """Whether the region reaches the grid's border, or points that were not evaluated."""
    return found.touches_border or found.touches_holes
