"""How wide the basin around θ1 is, on the line β = 0."""

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.readings.end_point import end_point
from bertscape.readings.parts import evaluated_only, interpolate, interval_around, reading
from bertscape.results import Surface
from bertscape.spec import FINETUNED


class BasinKind(enum.StrEnum):
    """What is known about the width."""

    WITHIN = "within"  # both ends lie on the grid
    AT_LEAST = "at least"  # the basin meets the edge of the grid
    NONE = "none"  # θ1 itself is above the threshold
    UNKNOWN = "not known"  # the grid does not hold θ1, or that line has holes


@dataclass(frozen=True, slots=True)
class BasinWidth:
    """The α interval at β = 0 around θ1 where the training loss is below ½ ln K."""

    kind: BasinKind
    threshold: float  # ½ ln K, in nats, for K classes
    low: float = math.nan  # ends of the interval, in units of ‖δ1‖; NaN if there is none
    high: float = math.nan

    @property
    def width(self) -> float:
        """`high - low`; NaN if there is no interval."""
        return self.high - self.low

    def __str__(self) -> str:
        match self.kind:
            case BasinKind.WITHIN:
                return f"{self.width:.2f}"
            case BasinKind.AT_LEAST:
                return f"at least {self.width:.2f}"
            case _:
                return str(self.kind)


@reading
def basin_width(surface: Surface) -> BasinWidth:
    """Measure the basin of a surface or a curve.

    Between grid points the training loss is interpolated linearly, along β first if the grid
    has no row at β = 0; θ1 has the loss that its self-check found, if there is one, so that a
    coarse grid beside it does not hide the basin. A NaN counts as above the threshold.
    """
    threshold = 0.5 * math.log(surface.findings.classes)
    centre = _centre(surface)
    if centre is None:
        return BasinWidth(BasinKind.UNKNOWN, threshold)
    line = np.stack([surface.alpha, np.zeros_like(surface.alpha)], axis=1)
    place = np.array([[centre, 0.0]])
    if np.isnan(_along(surface, evaluated_only(surface), np.concatenate([line, place]))).any():
        return BasinWidth(BasinKind.UNKNOWN, threshold)
    loss = np.where(np.isnan(surface.train_loss), np.inf, surface.train_loss)
    end = end_point(surface)
    if end is not None and end.place == (centre, 0.0):
        height = end.train_loss
    else:
        height = float(_along(surface, loss, place)[0])
    if not height < threshold:
        return BasinWidth(BasinKind.NONE, threshold)
    found = interval_around(
        surface.alpha,
        _along(surface, loss, line),
        holes=np.zeros(len(line), dtype=np.bool_),
        centre=centre,
        centre_value=height,
        level=threshold,
    )
    kind = BasinKind.AT_LEAST if found.touches_border else BasinKind.WITHIN
    return BasinWidth(kind, threshold, low=found.low, high=found.high)


def _centre(surface: Surface) -> float | None:
    """The α of θ1 at β = 0, if θ1 lies on that line."""
    if surface.spec.origin == FINETUNED:
        return 0.0
    # If only a layer group moves, θ1 lies on the plane only as its origin.
    reaches = surface.spec.x.toward == FINETUNED and surface.spec.layers.is_all
    return 1.0 if reaches else None


def _along(
    surface: Surface, values: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    return interpolate(surface.alpha, surface.beta, values, points)
