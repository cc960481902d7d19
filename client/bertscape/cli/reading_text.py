"""What the commands print of a surface's readings."""

import math
from collections.abc import Iterator

from bertscape.readings import (
    CircleRise,
    Consistency,
    Curvature,
    Estimate,
    OptimumArea,
    OptimumLength,
    Overfitting,
    Readings,
    ShownCheckpoint,
)
from bertscape.readings.parts import Units

_Row = tuple[str, str, str, str]  # reading, value, 95 % interval, remark

_HEAD: _Row = ("READING", "VALUE", "95 % INTERVAL", "REMARK")


def reading_rows(readings: Readings, units: Units) -> list[_Row]:
    """A table: its head, and a row for each number."""
    return [_HEAD, *_rows(readings, units)]


def _rows(readings: Readings, units: Units) -> Iterator[_Row]:
    end = readings.end_point
    if end is None:
        yield ("training loss of θ1", "", "", "θ1 lies outside the grid: no width, no flatness")
    else:
        loss = Estimate.of(end.train_loss, end.train_loss_stderr)
        yield _row("training loss of θ1 (nat)", loss, f"at α = {end.alpha:g}, β = {end.beta:g}")
    for area in readings.areas:
        yield from _area(area, units)
    for length in readings.lengths:
        yield _length(length, units)
    for circle in readings.circles:
        yield from _circle(circle, units)
    for curvature in readings.curvatures:
        yield _curvature(curvature, units)
    yield from _consistency(readings.consistency)
    if readings.overfitting is not None:
        yield from _overfitting(readings.overfitting)
    if readings.directions is not None:
        factor = f"areas on the plane: {readings.directions.area_factor:.3f} of the picture's"
        yield ("cosine of δ1 and δ2", _number(readings.directions.cosine), "", factor)
    for checkpoint in readings.checkpoints:
        yield _checkpoint(checkpoint)


def _area(found: OptimumArea, units: Units) -> Iterator[_Row]:
    label = f"optimum below J(θ1) + {found.threshold:g}"
    yield _row(f"{label}: area ({units.area})", found.area, _touches(found))
    yield _row(f"{label}: radius ({units.circle})", found.radius, _touches(found))


def _length(found: OptimumLength, units: Units) -> _Row:
    ends = f"α from {_number(found.low)} to {_number(found.high)}"
    remark = "; ".join(filter(None, (ends, _touches(found))))
    label = f"optimum below J(θ1) + {found.threshold:g}: length along α ({units.alpha})"
    return _row(label, found.length, remark)


def _touches(found: OptimumArea | OptimumLength) -> str:
    if found.touches_border or found.touches_holes:
        what = {"the border": found.touches_border, "holes": found.touches_holes}
        return f"at least: touches {' and '.join(name for name, does in what.items() if does)}"
    return "the interval's upper end: at least" if found.interval_touches else ""


def _circle(found: CircleRise, units: Units) -> Iterator[_Row]:
    known = "" if found.known == 1 else f"{100 * found.known:.0f} % of the circle was evaluated"
    label = f"rise at distance {found.radius:g} {units.circle}"
    yield _row(f"{label}: mean (nat)", found.mean, known)
    yield _row(f"{label}: maximum (nat)", found.maximum, f"at least: {known}" if known else "")


def _curvature(found: Curvature, units: Units) -> _Row:
    remark = f"{found.points} points"
    if not math.isnan(found.residual):
        remark += f", off by {found.residual:.2g} nat"
    if not math.isnan(found.stderr_at_most):
        remark += f"; standard error at most {found.stderr_at_most:.2g}"
    name, unit = {"x": ("α", units.alpha), "y": ("β", units.beta)}[found.axis]
    return _row(f"curvature along {name} (nat/{unit}²)", found.curvature, remark)


def _consistency(found: Consistency) -> Iterator[_Row]:
    compared = f"training loss and generalization error, {found.points} points"
    yield _row("consistency: rank correlation", found.rank_correlation, compared)
    remark = f"{found.low_points} lowest points of each; by chance {_number(found.chance)}"
    yield _row("consistency: overlap of low regions", found.overlap, remark)


def _overfitting(found: Overfitting) -> Iterator[_Row]:
    if found.last is None:
        remark = f"training loss is lowest at the last checkpoint, step {found.minimum_step}"
        yield ("change after the minimum of training loss", "", "", remark)
        return
    steps = f"step {found.from_step} to {found.last.step}"
    label = "after the minimum of training loss"
    yield _row(f"{label}: evaluation loss (nat)", found.last.eval_loss, steps)
    yield _row(f"{label}: generalization error", found.last.eval_error, steps)


def _checkpoint(found: ShownCheckpoint) -> _Row:
    shown = _number(found.least_squares.value)
    remark = f"the surface shows {shown} at its nearest place, {_number(found.residual)} ‖δ1‖ away"
    return _row(f"training loss of checkpoint {found.step} (nat)", found.true, remark)


def _row(label: str, found: Estimate, remark: str = "") -> _Row:
    interval = "" if math.isnan(found.low) else f"{_number(found.low)} to {_number(found.high)}"
    return label, _number(found.value), interval, remark


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.3g}"
