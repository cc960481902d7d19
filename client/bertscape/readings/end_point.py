"""θ1 on a surface: the point around which most readings are taken."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.readings.parts import interpolate
from bertscape.results import Surface, round_sizes
from bertscape.values import NUMBERS

_LOSS, _LOSS_STDERR = NUMBERS.index("train_loss"), NUMBERS.index("train_loss_stderr")


@dataclass(frozen=True, slots=True)
class EndPoint:
    """Where θ1 lies, and its training loss there.

    The loss is the evaluator's own at that place, which the self-check of θ1 records: it needs no
    interpolation if θ1 is not a grid point. The self-check has the examples of the first round. If
    a surface is from several, the loss is what each point's change is against, and its standard
    error follows from the first round's deviation.
    """

    alpha: float  # in units of the x direction's length, which is ‖δ1‖
    beta: float
    train_loss: float  # nat
    train_loss_stderr: float  # nat

    @property
    def place(self) -> tuple[float, float]:
        """(α, β)."""
        return self.alpha, self.beta


def end_point(surface: Surface) -> EndPoint | None:
    """Find θ1; None if it lies outside the grid, or on another plane than the surface's."""
    for check in surface.self_checks:
        if check.checkpoint == "finetuned" and _holds(surface, check.alpha, check.beta):
            loss, stderr = check.found[_LOSS], check.found[_LOSS_STDERR]
            if surface.rounds > 1:
                loss, stderr = _of_all_rounds(surface, stderr)
            return EndPoint(check.alpha, check.beta, loss, stderr)
    return None


def _of_all_rounds(surface: Surface, stderr: float) -> tuple[float, float]:
    """The training loss of θ1 on the examples of all rounds, and its standard error."""
    apart = (surface.train_loss - surface["train_loss_change"]).ravel()
    finite = apart[np.isfinite(apart)]
    first = round_sizes(surface.findings)[0]
    if not len(finite):
        return math.nan, math.nan
    # The same at each point, up to the rounding of the last bits.
    return float(np.median(finite)), stderr * math.sqrt(first / surface.examples["train"])


def _holds(surface: Surface, alpha: float, beta: float) -> bool:
    rows = surface.beta
    if not surface.alpha[0] <= alpha <= surface.alpha[-1]:
        return False
    return beta == 0 if rows is None else bool(rows[0] <= beta <= rows[-1])


@dataclass(frozen=True, slots=True)
class Rise:
    """By how much the training loss of some points is above that of θ1.

    The two losses share their examples, so their errors are correlated. The surface of a job that
    is `paired` has the standard error of the difference itself. Any other does not tell how they
    are correlated: `stderr` is then the sum of both standard errors, which that of the difference
    never exceeds.
    """

    values: NDArray[np.float64]  # nat; NaN where not evaluated
    stderr: NDArray[np.float64]  # nat; an upper bound if the surface is not paired
    defined: bool  # whether the loss of θ1 is finite

    def shifted(self, z: float) -> NDArray[np.float64] | None:
        """All points `z` standard errors higher; None if a standard error is not known.

        Points that move together are the worst case for a reading to which all contribute in
        one direction (a mean, an area): if they moved independently, it would vary less.
        """
        if not self.defined:
            return None
        if z == 0:
            return self.values
        if (np.isfinite(self.values) & ~np.isfinite(self.stderr)).any():
            return None
        with np.errstate(invalid="ignore"):
            moved: NDArray[np.float64] = self.values + z * self.stderr
        return moved


def rise(surface: Surface, end: EndPoint) -> Rise:
    """Above θ1 at every grid point, (ny, nx), or (nx,) of a curve."""
    return _rise(end, surface.train_loss, rise_stderr(surface, end))


def rise_at(surface: Surface, end: EndPoint, points: NDArray[np.float64]) -> Rise:
    """Above θ1 at the points (α, β), (m, 2), by interpolation; (m,)."""
    axes = surface.alpha, surface.beta
    loss = interpolate(*axes, surface.train_loss, points)
    # Interpolating is a weighted mean, whose standard error is at most that of the errors.
    return _rise(end, loss, interpolate(*axes, rise_stderr(surface, end), points))


def rise_stderr(surface: Surface, end: EndPoint) -> NDArray[np.float64]:
    """As `Rise.stderr`, at every grid point."""
    if surface.spec.paired:
        return surface["train_loss_change_stderr"]
    with np.errstate(invalid="ignore"):
        bound: NDArray[np.float64] = surface["train_loss_stderr"] + end.train_loss_stderr
    return bound


def _rise(end: EndPoint, loss: NDArray[np.float64], stderr: NDArray[np.float64]) -> Rise:
    defined = bool(np.isfinite(end.train_loss))
    with np.errstate(invalid="ignore"):
        return Rise(loss - end.train_loss, stderr, defined)


def line_through(surface: Surface, end: EndPoint, axis: str) -> NDArray[np.float64]:
    """The points (α, β) of the line through θ1 along an axis, "x" or "y", one a grid line; (n, 2).

    Raises:
        ValueError: there is no such axis.
    """
    if axis == "x":
        return np.stack([surface.alpha, np.full_like(surface.alpha, end.beta)], axis=1)
    if axis == "y" and surface.beta is not None:
        return np.stack([np.full_like(surface.beta, end.alpha), surface.beta], axis=1)
    raise ValueError(f"axis {axis!r}: expected x, or y of a surface")
