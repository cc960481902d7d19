"""What Hao et al. 2019 read off their pictures by eye, as numbers: pure functions of a surface.

>>> from bertscape import read_surface, readings  # doctest: +SKIP
>>> readings.optimum_area(read_surface("mrpc.h5"), threshold=0.5).area  # doctest: +SKIP
"""

from bertscape.readings.all_readings import Readings, measure
from bertscape.readings.basin import BasinKind, BasinWidth, basin_width
from bertscape.readings.consistency import Consistency, consistency
from bertscape.readings.curvature import Curvature, curvature
from bertscape.readings.end_point import EndPoint, end_point
from bertscape.readings.flatness import CircleRise, circle_rise, circle_rises
from bertscape.readings.overfitting import Change, Overfitting, overfitting
from bertscape.readings.parts import Directions, Estimate, directions
from bertscape.readings.rows import Row, landscape_rows
from bertscape.readings.shown import Shown, ShownCheckpoint, shown_checkpoints
from bertscape.readings.sizes import at_least, radius_in_space, size_of
from bertscape.readings.width import (
    OptimumArea,
    OptimumLength,
    optimum_area,
    optimum_areas,
    optimum_length,
    optimum_lengths,
)

__all__ = [
    "BasinKind",
    "BasinWidth",
    "Change",
    "CircleRise",
    "Consistency",
    "Curvature",
    "Directions",
    "EndPoint",
    "Estimate",
    "OptimumArea",
    "OptimumLength",
    "Overfitting",
    "Readings",
    "Row",
    "Shown",
    "ShownCheckpoint",
    "at_least",
    "basin_width",
    "circle_rise",
    "circle_rises",
    "consistency",
    "curvature",
    "directions",
    "end_point",
    "landscape_rows",
    "measure",
    "optimum_area",
    "optimum_areas",
    "optimum_length",
    "optimum_lengths",
    "overfitting",
    "radius_in_space",
    "shown_checkpoints",
    "size_of",
]
