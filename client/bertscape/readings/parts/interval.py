"""The interval around a point of a line where its values stay below a level."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """Its ends, and whether the line shows all of it."""

    low: float  # in the unit of the line's coordinate
    high: float
    touches_border: bool  # an end is the line's own, or may lie beyond
    touches_holes: bool  # an end lies beside a point that was not evaluated

    @property
    def length(self) -> float:
        """`high − low`."""
        return self.high - self.low


def interval_around(
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    holes: NDArray[np.bool_],
    centre: float,
    centre_value: float,
    level: float,
) -> Interval:
    """Measure the interval that holds `centre` and in which the values are below `level`.

    Values are linear between neighbouring points, the centre being one of them. A point that is not
    finite ends the interval at its neighbour, as a wall of infinite height would.

    Args:
        places: coordinates, (n,), increasing.
        values: (n,).
        holes: (n,), true where nothing was evaluated.
        centre: on the line, at a point of it or between two.
        centre_value: the value there; where it is not below `level` the interval is empty.
        level: in the values' unit.
    """
    if not centre_value < level:
        return Interval(centre, centre, touches_border=False, touches_holes=False)
    start = centre, centre_value
    high, border, hole = _crossing(places, values, holes, start, level)
    mirrored = -places[::-1], values[::-1], holes[::-1]
    low, low_border, low_hole = _crossing(*mirrored, (-centre, centre_value), level)
    return Interval(-low, high, border or low_border, hole or low_hole)


def _crossing(
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    holes: NDArray[np.bool_],
    start: tuple[float, float],
    level: float,
) -> tuple[float, bool, bool]:
    """Where the line first reaches the level right of the start; whether that is border, hole."""
    here, value = start
    for index in range(int(np.searchsorted(places, here, side="right")), len(places)):
        there = float(places[index])
        if not np.isfinite(values[index]):
            return here, False, bool(holes[index])
        if values[index] >= level:
            share = (level - value) / (float(values[index]) - value)
            return here + share * (there - here), False, False
        here, value = there, float(values[index])
    return here, True, False
