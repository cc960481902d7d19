"""What the sizes that are read off a surface are counted in."""

from dataclasses import dataclass

from bertscape.readings.parts.directions import is_random
from bertscape.results import Surface


@dataclass(frozen=True, slots=True)
class Units:
    """Words for a reading's unit."""

    alpha: str  # of lengths and curvature along α
    beta: str  # of curvature along β
    area: str
    circle: str  # a radius of 1


def units_of(surface: Surface) -> Units:
    """‖δ1‖, or on a layer group's surface ‖δ1ᴳ‖; of a random direction those of the picture."""
    if surface.findings.group is not None:
        return Units("‖δ1ᴳ‖", "‖δ1ᴳ‖", "‖δ1ᴳ‖²", "‖δ1ᴳ‖")
    if is_random(surface):
        return Units("‖δ1‖", "‖δ2‖", "‖δ1‖·‖δ2‖", "axis units")
    return Units("‖δ1‖", "‖δ1‖", "‖δ1‖²", "‖δ1‖")
