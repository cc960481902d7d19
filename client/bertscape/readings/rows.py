"""The readings of a landscape as rows of a table: what `bertscape measure` and a report show."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bertscape.readings.all_readings import Readings
from bertscape.readings.curvature import Curvature
from bertscape.readings.flatness import CircleRise
from bertscape.readings.parts import Estimate, Units
from bertscape.readings.sizes import at_least, open_ended, size_of
from bertscape.readings.width import OptimumArea, OptimumLength


@dataclass(frozen=True, slots=True)
class Row:
    """One number, before it is written for a terminal or a page."""

    label: str  # with the unit
    value: Estimate
    at_least: bool = False  # the true number may be larger: the grid does not show all of it
    known: float = 1.0  # share of a circle with finite values, from 0 to 1
    remark: str = ""


def landscape_rows(readings: Readings, units: Units, *, radii: bool = True) -> Iterator[Row]:
    """Around θ1: its loss, widths, flatness and curvature; then how the axes are chosen.

    Args:
        readings: of one surface.
        units: of that surface.
        radii: whether the radius of the circle with the same area follows each area.
    """
    end = readings.end_point
    if end is not None:
        loss = Estimate.of(end.train_loss, end.train_loss_stderr)
        place = f"at α = {end.alpha:g}, β = {end.beta:g}"
        yield Row("training loss of θ1 (nat)", loss, remark=place)
    for area in readings.areas:
        yield _area(area, units)
        if radii:
            yield _radius(area, units)
    for length in readings.lengths:
        yield _length(length, units)
    for circle in readings.circles:
        yield from _circle(circle, units)
    for curvature in readings.curvatures:
        yield _curvature(curvature, units)
    if readings.directions is not None:
        factor = f"areas on the plane: {readings.directions.area_factor:.3f} of the picture's"
        yield Row("cosine of δ1 and δ2", _exact(readings.directions.cosine), remark=factor)


def _area(found: OptimumArea, units: Units) -> Row:
    label = f"area below J(θ1) + {found.threshold:g} nat ({units.area})"
    return Row(label, size_of(found), at_least(found), remark=_touches(found))


def _radius(found: OptimumArea, units: Units) -> Row:
    label = f"radius below J(θ1) + {found.threshold:g} nat ({units.circle})"
    return Row(label, open_ended(found.radius, found), at_least(found), remark=_touches(found))


def _length(found: OptimumLength, units: Units) -> Row:
    ends = f"α from {found.low:.3g} to {found.high:.3g}" if math.isfinite(found.low) else ""
    remark = "; ".join(filter(None, (ends, _touches(found))))
    label = f"length along α below J(θ1) + {found.threshold:g} nat ({units.alpha})"
    return Row(label, size_of(found), at_least(found), remark=remark)


def _touches(found: OptimumArea | OptimumLength) -> str:
    if at_least(found):
        what = {"the border": found.touches_border, "holes": found.touches_holes}
        return f"at least: touches {' and '.join(name for name, does in what.items() if does)}"
    return "the interval's upper end: at least" if found.interval_touches else ""


def _circle(found: CircleRise, units: Units) -> Iterator[Row]:
    partly = found.known < 1
    share = f"{100 * found.known:.0f} % of the circle was evaluated" if partly else ""
    where = f"rise at {found.radius:g} {units.circle} (nat)"
    yield Row(f"mean {where}", found.mean, known=found.known, remark=share)
    cut = partly and math.isfinite(found.maximum.value)
    yield Row(f"largest {where}", found.maximum, cut, remark=f"at least: {share}" if share else "")


def _curvature(found: Curvature, units: Units) -> Row:
    remark = f"{found.points} points"
    if not math.isnan(found.residual):
        remark += f", off by {found.residual:.2g} nat"
    if not math.isnan(found.stderr_at_most):
        remark += f"; standard error at most {found.stderr_at_most:.2g}"
    name, unit = {"x": ("α", units.alpha), "y": ("β", units.beta)}[found.axis]
    return Row(f"curvature along {name} (nat/{unit}²)", found.curvature, remark=remark)


def _exact(value: float) -> Estimate:
    """A number of the plane itself, which no sample of examples moves."""
    return Estimate(value, math.nan, math.nan, math.nan)
