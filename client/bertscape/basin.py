"""How wide the basin around θ1 is, on the line β = 0."""

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import FINETUNED
from bertscape.surface import Surface


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
    low: float = math.nan  # ends of the interval, in units of ‖δ1‖; NaN where there is none
    high: float = math.nan

    @property
    def width(self) -> float:
        """`high - low`; NaN where there is no interval."""
        return self.high - self.low

    def __str__(self) -> str:
        match self.kind:
            case BasinKind.WITHIN:
                return f"{self.width:.2f}"
            case BasinKind.AT_LEAST:
                return f"at least {self.width:.2f}"
            case _:
                return str(self.kind)


def basin_width(surface: Surface) -> BasinWidth:
    """Measure the basin of a surface or a curve.

    Between grid points the training loss is interpolated linearly, along β first where the grid
    has no row at β = 0. A NaN counts as above the threshold.
    """
    threshold = 0.5 * math.log(surface.findings.classes)
    centre = _centre(surface)
    line = _line(surface)
    alpha = surface.alpha
    if centre is None or line is None or not alpha[0] <= centre <= alpha[-1]:
        return BasinWidth(BasinKind.UNKNOWN, threshold)
    line = np.where(np.isnan(line), np.inf, line)
    if not _between(alpha, line, centre) < threshold:
        return BasinWidth(BasinKind.NONE, threshold)
    high, high_is_edge = _crossing(alpha, line, centre, threshold)
    low, low_is_edge = _crossing(-alpha[::-1], line[::-1], -centre, threshold)
    kind = BasinKind.AT_LEAST if low_is_edge or high_is_edge else BasinKind.WITHIN
    return BasinWidth(kind, threshold, low=-low, high=high)


def _centre(surface: Surface) -> float | None:
    """The α of θ1 at β = 0, if θ1 lies on that line."""
    if surface.spec.origin == FINETUNED:
        return 0.0
    # Where a layer group alone moves, nothing on the plane but a θ1 as origin is θ1.
    reaches = surface.spec.x.toward == FINETUNED and surface.spec.layers.is_all
    return 1.0 if reaches else None


def _line(surface: Surface) -> NDArray[np.float64] | None:
    """Training loss at β = 0, (nx,); None where the grid does not reach it or has holes there."""
    beta, loss = surface.beta, surface.train_loss
    if beta is None:
        return loss if surface.complete else None
    above = int(np.searchsorted(beta, 0.0))
    if above == len(beta) or beta[0] > 0:
        return None
    rows = [above] if beta[above] == 0 else [above - 1, above]
    if not surface.evaluated[rows].all():
        return None
    if len(rows) == 1:
        row: NDArray[np.float64] = loss[above]
        return row
    share = -beta[above - 1] / (beta[above] - beta[above - 1])
    return _mix(loss[above - 1], loss[above], share)


def _mix(
    here: NDArray[np.float64], there: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """`share` of the way from here to there; an infinite end makes the middle infinite."""
    with np.errstate(invalid="ignore"):
        return (1 - share) * here + share * there


def _between(alpha: NDArray[np.float64], line: NDArray[np.float64], centre: float) -> float:
    """The line's value at `centre`, which may be infinite, interpolated linearly."""
    right = int(np.searchsorted(alpha, centre))
    if alpha[right] == centre:
        return float(line[right])
    share = (centre - alpha[right - 1]) / (alpha[right] - alpha[right - 1])
    return float((1 - share) * line[right - 1] + share * line[right])


def _crossing(
    alpha: NDArray[np.float64], line: NDArray[np.float64], centre: float, threshold: float
) -> tuple[float, bool]:
    """Where the line first reaches the threshold right of `centre`, and whether that is the edge.

    An infinite point puts the crossing at its neighbour: nothing is known between the two.
    """
    here, value = centre, _between(alpha, line, centre)
    for index in range(int(np.searchsorted(alpha, centre, side="right")), len(alpha)):
        if not line[index] < threshold:
            share = (threshold - value) / (line[index] - value)
            return float(here + share * (alpha[index] - here)), False
        here, value = float(alpha[index]), float(line[index])
    return float(alpha[-1]), True
