"""How wide the optimum is: the region around θ1 in which the training loss stays low."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.readings.end_point import EndPoint, Rise, end_point, line_through, rise, rise_at
from bertscape.readings.parts import (
    NORMAL_95,
    Estimate,
    Interval,
    Region,
    evaluated_only,
    interpolate,
    interval_around,
    reading,
    region_around,
    require_positive,
    y_unit,
)
from bertscape.results import Surface

DEFAULT_THRESHOLD = 0.5  # nat
DEFAULT_THRESHOLDS = (0.1, 0.25, 0.5, 1.0)  # nat


@dataclass(frozen=True, slots=True)
class OptimumArea:
    """The size of the region around θ1 on a surface; where it touches, it is at least so large."""

    threshold: float  # nat above the training loss of θ1
    area: Estimate  # in ‖δ1‖²
    radius: Estimate  # √(area/π), in ‖δ1‖: of the circle with that area
    touches_border: bool  # it reaches the border of the grid
    touches_holes: bool  # it reaches points that were not evaluated
    interval_touches: bool  # the interval's upper end does one or the other


@dataclass(frozen=True, slots=True)
class OptimumLength:
    """The size of the region around θ1 on the line along x; where it touches, at least so long."""

    threshold: float  # nat above the training loss of θ1
    length: Estimate  # in ‖δ1‖
    low: float  # its ends: α, in ‖δ1‖
    high: float
    touches_border: bool  # as of `OptimumArea`
    touches_holes: bool
    interval_touches: bool


@reading
def optimum_area(surface: Surface, threshold: float = DEFAULT_THRESHOLD) -> OptimumArea | None:
    """Measure the width of the optimum on a surface.

    It is the connected region that holds θ1 and in which the training loss is below that of θ1
    plus the threshold. Between grid points the loss is interpolated linearly on triangles (see
    `region_around`), with θ1 and its own loss among their vertices; a value that is not finite is
    outside. Sizes are those of the picture, whose axes stand at right angles, in units of δ1's
    length; on a layer-group surface in that of its part δ1ᴳ, by which β counts too (`y_unit`).
    `directions` gives the factor to areas of the plane itself.

    The paper compares such regions by eye (Hao et al. 2019).

    Error: the interval spans the sizes that result where the rise above θ1 is 1.96 of its
    standard errors higher, and lower, at all points at once. It is an upper bound, to first order,
    because points that move together are the worst case for an area. The standard error of a rise
    is the paired one if the surface has it. Else it is the sum of both points', whose correlation
    is not known. What interpolation costs is not in it.

    Args:
        surface: whole or with holes.
        threshold: above the training loss of θ1, in nats; above 0.

    Returns:
        None for a curve, and if the grid does not hold θ1. Sizes are NaN if the training
        loss of θ1 is not finite.

    Raises:
        InvalidInput: a threshold that is not above 0.
    """
    require_positive("threshold", threshold)
    end = end_point(surface)
    if end is None or surface.beta is None:
        return None
    above = rise(surface, end)

    @functools.cache  # the radius is that of the same three
    def area(z: float) -> float:
        return y_unit(surface) * _region(surface, end, above, threshold, z).area

    region = _region(surface, end, above, threshold, 0)
    widest = _region(surface, end, above, threshold, -NORMAL_95)
    return OptimumArea(
        threshold=threshold,
        area=Estimate.shifted(area),
        radius=Estimate.shifted(lambda z: math.sqrt(area(z) / math.pi)),
        touches_border=region.touches_border,
        touches_holes=region.touches_holes,
        interval_touches=widest.touches_border or widest.touches_holes,
    )


@reading
def optimum_length(surface: Surface, threshold: float = DEFAULT_THRESHOLD) -> OptimumLength | None:
    """Measure the width of the optimum along x: on a curve, or on a surface's line through θ1.

    It is the interval of α that holds θ1 and in which the training loss is below that of θ1 plus
    the threshold, interpolated linearly, with θ1 and its own loss as one of the line's points. On a
    surface the line is interpolated from the rows beside it if θ1 lies on none.

    The paper compares such widths by eye, on its one-dimensional loss curves (Hao et al. 2019).

    Error: as of `optimum_area`.

    Args:
        surface: a curve or a surface, whole or with holes.
        threshold: above the training loss of θ1, in nats; above 0.

    Returns:
        None if the grid does not hold θ1. The length is NaN if the training loss of θ1
        is not finite.

    Raises:
        InvalidInput: a threshold that is not above 0.
    """
    require_positive("threshold", threshold)
    end = end_point(surface)
    if end is None:
        return None
    line = line_through(surface, end, "x")
    above = rise_at(surface, end, line)
    holes = np.isnan(interpolate(surface.alpha, surface.beta, evaluated_only(surface), line))

    def interval(z: float) -> Interval:
        return _interval(surface.alpha, above.shifted(z), holes, end, threshold)

    found, widest = interval(0), interval(-NORMAL_95)
    return OptimumLength(
        threshold=threshold,
        length=Estimate.shifted(lambda z: interval(z).length),
        low=found.low,
        high=found.high,
        touches_border=found.touches_border,
        touches_holes=found.touches_holes,
        interval_touches=widest.touches_border or widest.touches_holes,
    )


def optimum_areas(
    surface: Surface, thresholds: Sequence[float] = DEFAULT_THRESHOLDS
) -> tuple[OptimumArea, ...]:
    """`optimum_area` for each threshold; empty if there is none."""
    found = (optimum_area(surface, threshold) for threshold in thresholds)
    return tuple(width for width in found if width is not None)


def optimum_lengths(
    surface: Surface, thresholds: Sequence[float] = DEFAULT_THRESHOLDS
) -> tuple[OptimumLength, ...]:
    """`optimum_length` for each threshold; empty if there is none."""
    found = (optimum_length(surface, threshold) for threshold in thresholds)
    return tuple(width for width in found if width is not None)


def _region(surface: Surface, end: EndPoint, above: Rise, threshold: float, z: float) -> Region:
    values, beta = above.shifted(z), surface.beta
    if values is None or beta is None:
        return Region(math.nan, touches_border=False, touches_holes=False)
    return region_around(
        surface.alpha,
        beta,
        values,
        holes=surface.evaluated == 0,
        centre=end.place,
        centre_value=0.0,  # θ1 rises above itself by nothing, in every sample
        level=threshold,
    )


def _interval(
    alpha: NDArray[np.float64],
    values: NDArray[np.float64] | None,
    holes: NDArray[np.bool_],
    end: EndPoint,
    threshold: float,
) -> Interval:
    if values is None:
        return Interval(math.nan, math.nan, touches_border=False, touches_holes=False)
    return interval_around(
        alpha, values, holes=holes, centre=end.alpha, centre_value=0.0, level=threshold
    )
