"""How the plane's two directions lie to each other."""

import math
from dataclasses import dataclass

from bertscape.results import Surface


@dataclass(frozen=True, slots=True)
class Directions:
    """The angle between δ1 and δ2: a fact of three checkpoints, without a sampling error."""

    cosine: float  # ⟨δ1, δ2⟩ / (‖δ1‖·‖δ2‖), from −1 to 1
    area_factor: float  # √(1 − cosine²): area on the plane over area in the picture


def is_random(surface: Surface) -> bool:
    """Whether y is a random direction, whose length is not that of δ1."""
    return surface.spec.y is not None and surface.spec.y.random is not None


def y_unit(surface: Surface) -> float:
    """How long a step of 1 along β is, in steps of 1 along α.

    δ2 has the length of δ1, but its part in a layer group need not have that of δ1's: there it is
    ‖δ2ᴳ‖/‖δ1ᴳ‖. A random direction of all layers has a length that is not recorded: it counts as
    1, and sizes are those of the picture.
    """
    group = surface.findings.group
    return 1.0 if group is None or group.y_norm is None else group.y_norm / group.x_norm


def directions(surface: Surface) -> Directions | None:
    """The cosine of δ1 and δ2; None of a curve.

    Pictures draw both axes at right angles, as the paper's do, whatever the cosine. It is of the
    plane's directions as they are: on a layer-group surface of their parts in that group.
    """
    cosine = surface.findings.cosine
    if cosine is None:
        return None
    return Directions(cosine, math.sqrt(max(0.0, 1.0 - cosine * cosine)))
