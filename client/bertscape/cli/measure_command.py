"""The command that reads numbers off the file of a surface or a rollback."""

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bertscape.cli.rollback_text import rollback_json, rollback_rows
from bertscape.cli.text import table, warn_of_failed_checks, write_json, write_line
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
    measure,
)
from bertscape.readings.consistency import (
    DEFAULT_FRACTION,
)
from bertscape.readings.flatness import (
    DEFAULT_RADII,
)
from bertscape.readings.parts import (
    Units,
    units_of,
)
from bertscape.readings.width import (
    DEFAULT_THRESHOLDS,
)
from bertscape.results import Surface, read_result
from bertscape.values import (
    DONE,
    Command,
    InvalidInput,
    ProblemType,
)

_Row = tuple[str, str, str, str]  # reading, value, 95 % interval, remark

_HEAD: _Row = ("READING", "VALUE", "95 % INTERVAL", "REMARK")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a surface or a rollback, an HDF5 file"
    )
    parser.add_argument(
        "--threshold",
        metavar="NAT",
        type=float,
        action="append",
        help="width of the optimum below the training loss of θ1 plus this; may be repeated "
        f"(default: {_list(DEFAULT_THRESHOLDS)})",
    )
    parser.add_argument(
        "--radius",
        metavar="R",
        type=float,
        action="append",
        help="rise on a circle of this radius around θ1, in ‖δ1‖ or a layer group's ‖δ1ᴳ‖; "
        f"may be repeated (default: {_list(DEFAULT_RADII)})",
    )
    parser.add_argument(
        "--fraction",
        metavar="F",
        type=float,
        help=f"share of the grid that makes a low region (default: {DEFAULT_FRACTION})",
    )
    parser.add_argument("--json", action="store_true", help="print the readings as JSON")


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _measure(options: Namespace) -> int:
    result = read_result(options.file)
    if isinstance(result, Surface):
        numbers, rows = _readings(result, options)
    else:
        _refuse_options(options)
        numbers, rows = rollback_json(result), rollback_rows(result)
    warn_of_failed_checks([check.to_json() for check in result.self_checks])
    if options.json:
        write_json(numbers)
    else:
        write_line(table(rows))
    return DONE


def _readings(surface: Surface, options: Namespace) -> tuple[Any, Sequence[Sequence[str]]]:
    fraction = DEFAULT_FRACTION if options.fraction is None else options.fraction
    readings = measure(
        surface,
        thresholds=options.threshold or DEFAULT_THRESHOLDS,
        radii=options.radius or DEFAULT_RADII,
        fraction=fraction,
    )
    return readings.to_json(), [_HEAD, *_rows(readings, units_of(surface))]


def _refuse_options(options: Namespace) -> None:
    """A rollback has no optimum to measure."""
    for name in ("threshold", "radius", "fraction"):
        value = getattr(options, name)
        if value is not None:
            raise InvalidInput.of(
                ProblemType.INVALID_VALUE, f"--{name}", value, "a surface or a curve beside it"
            )


def _rows(readings: Readings, units: Units) -> Iterator[_Row]:
    end = readings.end_point
    if end is None:
        yield ("training loss of θ1", "", "", "the grid does not hold θ1: no width, no flatness")
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
    known = "" if found.known == 1 else f"{100 * found.known:.0f} % of the circle is known"
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


MEASURE = Command(
    name="measure",
    help="read widths, flatness and consistency off a surface's file, changes off a rollback's",
    add_arguments=_add_arguments,
    run=_measure,
)
