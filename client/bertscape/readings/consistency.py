"""Whether the training-loss surface and the generalization-error surface tell the same story."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.readings.parts import Estimate, lowest, rank_correlation, reading, standardised_ranks
from bertscape.results import Surface
from bertscape.values import InvalidInput, ProblemType

DEFAULT_FRACTION = 0.1

_Values = NDArray[np.float64]  # (n,): the points that both surfaces have


@dataclass(frozen=True, slots=True)
class Consistency:
    """How alike two surfaces over one grid are."""

    points: int  # where both have finite values; the others are left out
    rank_correlation: Estimate  # Spearman's ρ, from −1 to 1
    fraction: float  # of the points that make each low region
    low_points: int  # the same as a count
    overlap: Estimate  # intersection over union of the low regions, from 0 to 1
    chance: float  # the overlap with a surface that is the same everywhere


@reading
def consistency(surface: Surface, fraction: float = DEFAULT_FRACTION) -> Consistency:
    """Compare the training loss with the generalization error over the grid.

    The rank correlation is Spearman's, with average ranks for ties. The low region of a surface
    holds its k lowest points, k = fraction · points rounded, and at least 1, so that both have one
    area; points that tie for the last places share them equally, as weights w from 0 to 1. Their
    overlap is Σ min(w, w′) / Σ max(w, w′). A surface that is the same everywhere has the overlap
    k / (2n − k) with any other, which is `chance`.

    The paper compares both surfaces by eye (Hao et al. 2019).

    Error: an upper bound, to first order. Each surface is moved by 1.96 of its standard errors at
    every point, in the direction that raises the reading most, then in the opposite one; the
    results of both splits, which are independent samples, add as squares. Where the errors of
    the points go together, as those of neighbours do, the truth varies less. The points of a grid
    are no sample: neither number is a test of significance.

    Args:
        surface: a surface or a curve, whole or with holes.
        fraction: size of the low regions, above 0 and below 1.

    Returns:
        NaN for the correlation if either surface is the same everywhere, and for everything
        if fewer than two points are finite.

    Raises:
        InvalidInput: another fraction.
    """
    if not 0 < fraction < 1:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "fraction", fraction, "a number between 0 and 1"
        )
    names = ("train_loss", "eval_error", "train_loss_stderr", "eval_error_stderr")
    known = np.isfinite(surface.train_loss) & np.isfinite(surface.eval_error)
    points = int(known.sum())
    if points < 2:
        nothing = Estimate.of(math.nan, math.nan)
        return Consistency(points, nothing, fraction, 0, nothing, math.nan)
    losses, errors, *stderrs = (surface[name][known] for name in names)
    count = max(1, round(fraction * points))
    toward = _agreement(losses, errors)
    inward = 2 * lowest(errors, count) - 1, 2 * lowest(losses, count) - 1
    return Consistency(
        points=points,
        rank_correlation=_estimate(rank_correlation, (losses, errors), stderrs, toward, -1.0),
        fraction=fraction,
        low_points=count,
        overlap=_estimate(
            lambda x, y: _overlap(x, y, count),
            (losses, errors),
            stderrs,
            (-inward[0], -inward[1]),
            0.0,
        ),
        chance=count / (2 * points - count),
    )


def _overlap(x: _Values, y: _Values, count: int) -> float:
    here, there = lowest(x, count), lowest(y, count)
    return float(np.minimum(here, there).sum() / np.maximum(here, there).sum())


def _agreement(x: _Values, y: _Values) -> tuple[_Values, _Values]:
    """For each surface the sign of the change at each point that raises the rank correlation."""
    first, second = standardised_ranks(x), standardised_ranks(y)
    if first is None or second is None:
        return np.zeros_like(x), np.zeros_like(y)
    correlation = float(first @ second)  # its derivative by a rank is below, up to a factor
    return np.sign(second - correlation * first), np.sign(first - correlation * second)


def _estimate(
    measure: Callable[[_Values, _Values], float],
    surfaces: tuple[_Values, _Values],
    stderrs: list[_Values],
    directions: tuple[_Values, _Values],
    least: float,
) -> Estimate:
    """A reading of two surfaces, each of which moves along its direction by itself."""
    x, y = surfaces
    along_x, along_y = stderrs[0] * directions[0], stderrs[1] * directions[1]
    if not (np.isfinite(along_x).all() and np.isfinite(along_y).all()):
        return Estimate(measure(x, y), math.nan, math.nan, math.nan)
    by_x = Estimate.shifted(lambda z: measure(x + z * along_x, y))
    by_y = Estimate.shifted(lambda z: measure(x, y + z * along_y))
    return by_x.joined(by_y, least, 1.0)
