"""How far a picture can be believed: each checkpoint's true value, and what the surface shows."""

import math
from dataclasses import dataclass

import numpy as np

from bertscape.readings.parts import Estimate, interpolate, is_random, reading
from bertscape.results import Surface
from bertscape.values import NUMBERS, InvalidInput, ProblemType, TrajectoryFound

_VALUES = tuple(name for name in NUMBERS if not name.endswith("_stderr"))


@dataclass(frozen=True, slots=True)
class Shown:
    """One projection of a checkpoint, and the surface's value there."""

    alpha: float  # in ‖δ1‖; NaN if the projection is not defined
    beta: float
    value: float  # interpolated; NaN outside the grid, or beside a value that is not finite


@dataclass(frozen=True, slots=True)
class ShownCheckpoint:
    """One checkpoint of a trajectory, as it is and as the surface shows it."""

    step: int
    true: Estimate  # of its own backbone with θ1's head, nat or 1 − accuracy
    paper: Shown  # where the paper's projection draws it
    least_squares: Shown  # at the nearest place of the plane
    residual: float  # its distance from the plane, in ‖δ1‖


@reading
def shown_checkpoints(surface: Surface, value: str = "train_loss") -> tuple[ShownCheckpoint, ...]:
    """Compare each checkpoint's true value with the surface's at its two projections.

    A trajectory is drawn on a plane that it mostly does not lie on: near its start and its end, the
    surface's value is that of the checkpoint; in between, it is that of another backbone,
    `residual` away. Where the two values differ by more than the standard error, the picture shows
    the checkpoint at a height that it does not have.

    The paper's projection keeps a checkpoint's distance from θ0, not its place: it is the
    least-squares one that is nearest (Hao et al. 2019 draw the former, on a plane whose δ2 has
    the length of δ1: on a random direction it is nowhere).

    Args:
        surface: a surface or a curve, whole or with holes; values are interpolated as those of
            the other readings are.
        value: a name among the file's datasets, not of a standard error.

    Returns:
        One for each checkpoint, in their order; empty without a trajectory.

    Raises:
        InvalidInput: there is no such value.
    """
    if value not in _VALUES:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "value", value, f"one of {', '.join(_VALUES)}"
        )
    found = surface.trajectory
    if found is None:
        return ()
    numbers = np.array(found.numbers, dtype=np.float64).reshape(-1, len(NUMBERS))  # (T, 8)
    true, stderr = (numbers[:, NUMBERS.index(name)] for name in (value, f"{value}_stderr"))
    paper = _shown(surface, value, *paper_places(surface, found))
    nearest = _shown(surface, value, found.alpha_lsq, found.beta_lsq)
    return tuple(
        ShownCheckpoint(
            step=step,
            true=Estimate.of(float(true[index]), float(stderr[index])),
            paper=paper[index],
            least_squares=nearest[index],
            residual=found.residual[index],
        )
        for index, step in enumerate(found.step)
    )


Places = tuple[tuple[float, ...], tuple[float, ...]]  # α and β of each checkpoint, (T,) each


def paper_places(surface: Surface, found: TrajectoryFound) -> Places:
    """Where the paper's projection draws the checkpoints; NaN if it is not defined.

    Its dβ is in ‖δ1‖. On a random direction, whose length is another, it is no coordinate.
    """
    if is_random(surface):
        nowhere = (math.nan,) * len(found.step)
        return nowhere, nowhere
    return found.alpha, found.beta


def drawn_places(surface: Surface, found: TrajectoryFound) -> tuple[Places, bool]:
    """What pictures draw, and whether it is the paper's projection: else it is least squares.

    The paper's is drawn where it is defined at each checkpoint.
    """
    paper = paper_places(surface, found)
    if np.isfinite(paper).all():
        return paper, True
    return (found.alpha_lsq, found.beta_lsq), False


def _shown(
    surface: Surface, value: str, alpha: tuple[float, ...], beta: tuple[float, ...]
) -> list[Shown]:
    points = np.array([alpha, beta], dtype=np.float64).reshape(2, -1).T  # (T, 2)
    defined = np.isfinite(points).all(axis=1)
    values = np.full(len(points), np.nan)
    values[defined] = interpolate(surface.alpha, surface.beta, surface[value], points[defined])
    return [Shown(float(a), float(b), float(v)) for (a, b), v in zip(points, values, strict=True)]
