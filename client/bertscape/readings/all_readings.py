"""Everything that can be read off one surface, together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bertscape.readings.consistency import DEFAULT_FRACTION, Consistency, consistency
from bertscape.readings.curvature import Curvature, curvature
from bertscape.readings.end_point import EndPoint, end_point
from bertscape.readings.flatness import DEFAULT_RADII, CircleRise, circle_rises
from bertscape.readings.overfitting import Overfitting, overfitting
from bertscape.readings.parts import Directions, directions
from bertscape.readings.shown import ShownCheckpoint, shown_checkpoints
from bertscape.readings.width import (
    DEFAULT_THRESHOLDS,
    OptimumArea,
    OptimumLength,
    optimum_areas,
    optimum_lengths,
)
from bertscape.results import Surface
from bertscape.values import plain


@dataclass(frozen=True, slots=True)
class Readings:
    """All readings of one surface; what it does not have is None, or empty."""

    end_point: EndPoint | None  # None if the grid does not hold θ1: then no widths either
    areas: tuple[OptimumArea, ...]  # by threshold; empty of a curve
    lengths: tuple[OptimumLength, ...]  # by threshold
    circles: tuple[CircleRise, ...]  # by radius
    curvatures: tuple[Curvature, ...]  # along x, and along y of a surface
    consistency: Consistency
    overfitting: Overfitting | None  # None without a trajectory
    directions: Directions | None  # None of a curve
    checkpoints: tuple[ShownCheckpoint, ...]  # of the trajectory: training loss, true and shown

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN and infinity are strings, as in all of bertscape's JSON."""
        values: dict[str, Any] = plain(self)
        return values


def measure(
    surface: Surface,
    *,
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    radii: Sequence[float] = DEFAULT_RADII,
    fraction: float = DEFAULT_FRACTION,
) -> Readings:
    """Take every reading that the surface allows.

    Args:
        surface: a surface or a curve, whole or with holes.
        thresholds: of `optimum_area` and `optimum_length`, in nats.
        radii: of `circle_rise`, in ‖δ1‖.
        fraction: of `consistency`.

    Raises:
        InvalidInput: one of these is not what its reading takes.
    """
    along = (curvature(surface, axis) for axis in ("x", "y"))
    return Readings(
        end_point=end_point(surface),
        areas=optimum_areas(surface, thresholds),
        lengths=optimum_lengths(surface, thresholds),
        circles=circle_rises(surface, radii),
        curvatures=tuple(found for found in along if found is not None),
        consistency=consistency(surface, fraction),
        overfitting=overfitting(surface),
        directions=directions(surface),
        checkpoints=shown_checkpoints(surface),
    )
