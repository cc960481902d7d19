"""The mathematics of the plane: directions, their norms, principal components, projections.

Reads checkpoints a part at a time; evaluates nothing. Knows `admission` and `checkpoints`.
"""

from bertscape_workers.plane.plane import (
    Axis,
    Plane,
    PlaneRequest,
    build_plane,
    checkpoints_on_plane,
    length_toward,
)
from bertscape_workers.plane.projections import Projection, least_squares, paper_projection

__all__ = [
    "Axis",
    "Plane",
    "PlaneRequest",
    "Projection",
    "build_plane",
    "checkpoints_on_plane",
    "least_squares",
    "length_toward",
    "paper_projection",
]
