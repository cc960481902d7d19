"""How far a precision other than fp32 moves the numbers, measured at some points of the job."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bertscape.values import Axis, Grid, RoundingFound
from bertscape_workers.evaluation.evaluators import evaluator_for
from bertscape_workers.evaluation.plain import EvaluatorInputs

Point = tuple[float, float]  # (α, β)

_STAGE = "measuring the precision"


def sample_points(grid: Grid) -> tuple[Point, ...]:
    """Five points of a grid, fewer of a small one, that follow from the grid alone.

    Of a plane they are its middle and the middles of its quarters; of a line they are spread
    evenly over it.
    """
    if grid.y is None:
        places = [(0, column) for column in _along(grid.x, 0.1, 0.3, 0.5, 0.7, 0.9)]
    else:
        middle, low, high = zip(
            *(_along(axis, 0.5, 0.25, 0.75) for axis in (grid.y, grid.x)), strict=True
        )
        places = [middle, low, (low[0], high[1]), (high[0], low[1]), high]
    points = dict.fromkeys(row * grid.x.count + column for row, column in places)
    return tuple((float(alpha), float(beta)) for alpha, beta in grid.coordinates(list(points)))


def _along(axis: Axis, *parts: float) -> list[int]:
    return [round(part * (axis.count - 1)) for part in parts]


def measure_rounding(
    inputs: EvaluatorInputs,
    points: Sequence[Point],
    device: str,
    tell: Callable[[str, int, int], None],
) -> RoundingFound | None:
    """The largest difference that the job's precision makes at these points, against fp32.

    Holds one evaluator at a time, and none afterwards.

    Args:
        inputs: of the job, with its precision.
        points: where to evaluate.
        device: as torch names it; that of the job.
        tell: told of each point.

    Returns:
        None if the job's precision is fp32.
    """
    if inputs.precision == "fp32":
        return None
    numbers: list[NDArray[np.float64]] = []
    for one in (replace(inputs, precision="fp32"), inputs):
        evaluator = evaluator_for(one, device)
        for point in points:
            tell(_STAGE, len(numbers), 2 * len(points))
            numbers.append(evaluator.evaluate(*point))
        del evaluator  # before the next one is made
    tell(_STAGE, len(numbers), 2 * len(points))
    return largest_difference(points, numbers[: len(points)], numbers[len(points) :])


def largest_difference(
    points: Sequence[Point],
    exact: Sequence[NDArray[np.float64]],
    found: Sequence[NDArray[np.float64]],
) -> RoundingFound:
    """Of each loss and error; values that are the same NaN or infinity do not differ.

    Args:
        points: P of them.
        exact: in fp32, (8,) at each point.
        found: in the job's precision.
    """
    before, after = np.stack(exact)[:, :4], np.stack(found)[:, :4]  # (P, 4) both
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    with np.errstate(invalid="ignore"):  # of infinities, which `same` takes care of
        largest = np.where(same, 0.0, np.abs(after - before)).max(axis=0)
    train_loss, train_error, eval_loss, eval_error = map(float, largest)
    return RoundingFound(
        at=tuple(points),
        train_loss=train_loss,
        train_error=train_error,
        eval_loss=eval_loss,
        eval_error=eval_error,
    )
