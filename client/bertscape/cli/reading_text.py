"""What the commands print of a surface's readings."""

import math
from collections.abc import Iterator

from bertscape.readings import (
    Consistency,
    Estimate,
    Overfitting,
    Readings,
    Row,
    ShownCheckpoint,
    landscape_rows,
)
from bertscape.readings.parts import Units

_Texts = tuple[str, str, str, str]  # reading, value, 95 % interval, remark

_HEAD: _Texts = ("READING", "VALUE", "95 % INTERVAL", "REMARK")


def reading_rows(readings: Readings, units: Units) -> list[_Texts]:
    """A table: its head, and a row for each number."""
    return [_HEAD, *_rows(readings, units)]


def _rows(readings: Readings, units: Units) -> Iterator[_Texts]:
    if readings.end_point is None:
        yield ("training loss of θ1", "", "", "θ1 lies outside the grid: no width, no flatness")
    yield from map(_text, landscape_rows(readings, units))
    yield from _consistency(readings.consistency)
    if readings.overfitting is not None:
        yield from _overfitting(readings.overfitting)
    for checkpoint in readings.checkpoints:
        yield _checkpoint(checkpoint)


def _text(row: Row) -> _Texts:
    return _line(row.label, row.value, row.remark)


def _consistency(found: Consistency) -> Iterator[_Texts]:
    compared = f"training loss and generalization error, {found.points} points"
    yield _line("consistency: rank correlation", found.rank_correlation, compared)
    remark = f"{found.low_points} lowest points of each; by chance {_number(found.chance)}"
    yield _line("consistency: overlap of low regions", found.overlap, remark)


def _overfitting(found: Overfitting) -> Iterator[_Texts]:
    if found.last is None:
        remark = f"training loss is lowest at the last checkpoint, step {found.minimum_step}"
        yield ("change after the minimum of training loss", "", "", remark)
        return
    steps = f"step {found.from_step} to {found.last.step}"
    label = "after the minimum of training loss"
    yield _line(f"{label}: evaluation loss (nat)", found.last.eval_loss, steps)
    yield _line(f"{label}: generalization error", found.last.eval_error, steps)


def _checkpoint(found: ShownCheckpoint) -> _Texts:
    shown = _number(found.least_squares.value)
    remark = f"the surface shows {shown} at its nearest place, {_number(found.residual)} ‖δ1‖ away"
    return _line(f"training loss of checkpoint {found.step} (nat)", found.true, remark)


def _line(label: str, found: Estimate, remark: str = "") -> _Texts:
    interval = "" if math.isnan(found.low) else f"{_number(found.low)} to {_number(found.high)}"
    return label, _number(found.value), interval, remark


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "not known" if math.isnan(value) else f"{value:.3g}"
