"""What several readings share: directions, regions, intervals, interpolation, estimates."""

from bertscape.readings.parts.directions import Directions, directions, is_random, y_unit
from bertscape.readings.parts.estimate import NORMAL_95, Estimate, require_positive
from bertscape.readings.parts.interpolation import evaluated_only, interpolate
from bertscape.readings.parts.interval import Interval, interval_around
from bertscape.readings.parts.once import each_reading_once, reading
from bertscape.readings.parts.ranks import lowest, rank_correlation, standardised_ranks
from bertscape.readings.parts.region import Region, region_around
from bertscape.readings.parts.units import Units, units_of

__all__ = [
    "NORMAL_95",
    "Directions",
    "Estimate",
    "Interval",
    "Region",
    "Units",
    "directions",
    "each_reading_once",
    "evaluated_only",
    "interpolate",
    "interval_around",
    "is_random",
    "lowest",
    "rank_correlation",
    "reading",
    "region_around",
    "require_positive",
    "standardised_ranks",
    "units_of",
    "y_unit",
]
