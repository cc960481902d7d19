"""The checkpoints of a trajectory: where they fall on the plane, and their true numbers."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bertscape.spec import Checkpoint
from bertscape.values import Numbers, TrajectoryFound
from bertscape_workers.checkpoints import CheckpointFiles, Layout, read_backbone, steps
from bertscape_workers.evaluation.evaluators import Evaluator
from bertscape_workers.evaluation.plain import as_numbers
from bertscape_workers.plane import Plane, Projection, least_squares, paper_projection

_UNDEFINED = (math.nan, math.nan)  # the paper projects onto δ1, from θ0


def measure_trajectory(
    names: Sequence[Checkpoint],
    checkpoints: Sequence[CheckpointFiles],
    plane: Plane,
    layout: Layout,
    evaluator: Evaluator,
    tell: Callable[[str, int, int], None],
) -> TrajectoryFound | None:
    """Project and evaluate each checkpoint, with one of them in memory at a time.

    Args:
        names: as the spec has them; their ends are the steps.
        checkpoints: the same, found.
        plane: with origin and directions.
        layout: of its vectors.
        evaluator: of the job, to place each backbone in.
        tell: told of each checkpoint.

    Returns:
        (T,) of everything; None if the spec names no checkpoint.
    """
    if not checkpoints:
        return None
    numbers: list[Numbers] = []
    paper: list[tuple[float, float]] = []
    nearest: list[Projection] = []
    vector = layout.empty()
    for done, files in enumerate(checkpoints):
        tell("trajectory", done, len(checkpoints))
        read_backbone(files, layout, vector)
        numbers.append(as_numbers(evaluator.evaluate_backbone(vector)))
        np.subtract(vector, plane.origin, out=vector)
        paper.append(paper_projection(vector, plane.x) if plane.holds_delta1 else _UNDEFINED)
        nearest.append(least_squares(vector, plane.x, plane.y, plane.delta1_norm))
    tell("trajectory", len(checkpoints), len(checkpoints))
    return TrajectoryFound(
        step=steps(names),
        alpha=tuple(alpha for alpha, _ in paper),
        beta=tuple(beta for _, beta in paper),
        alpha_lsq=tuple(one.alpha for one in nearest),
        beta_lsq=tuple(one.beta for one in nearest),
        residual=tuple(one.residual for one in nearest),
        numbers=tuple(numbers),
    )
