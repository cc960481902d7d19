"""Surfaces whose readings are known from a formula."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bertscape.results import Surface
from bertscape.values import NUMBERS, GroupFound, SelfCheck, TrajectoryFound

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]
SurfaceOf = Callable[..., Surface]

STDERR = 0.01


@pytest.fixture
def surface_of(make_surface: Any) -> SurfaceOf:
    """Build a surface from formulas of (α, β), with θ1 at `end` and its own loss there.

    `group` has the lengths of δ1ᴳ and δ2ᴳ, where a layer group alone moves. `paired` is the
    standard error of the rise above θ1, if the surface has one.
    """

    def build(
        loss: Formula,
        *,
        error: Formula | None = None,
        x: tuple[float, float, int] = (-1, 3, 41),
        y: tuple[float, float, int] | None = (-2, 2, 41),
        end: tuple[float, float] | None = (1.0, 0.0),
        stderr: float | Formula = STDERR,
        paired: Formula | None = None,
        holes: tuple[int, ...] = (),
        trajectory: TrajectoryFound | None = None,
        group: tuple[float, float] | None = None,
    ) -> Surface:
        kind = "curve" if y is None else "surface"
        axes = {"x": list(x)} if y is None else {"x": list(x), "y": list(y)}
        asked = {} if paired is None else {"paired": True}
        surface = make_surface(kind, loss=loss, grid=axes, holes=holes, **asked)
        grid = surface.spec.points
        alpha, beta = grid.coordinates(range(grid.size)).T
        numbers = surface.numbers.copy()
        spread = stderr if callable(stderr) else lambda a, _: np.full_like(a, stderr)
        numbers[4:8] = spread(alpha, beta).reshape(grid.shape)
        if paired is not None:
            place = surface.names.index("train_loss_change_stderr")
            numbers[place] = paired(alpha, beta).reshape(grid.shape)
        if error is not None:
            numbers[NUMBERS.index("eval_error")] = error(alpha, beta).reshape(grid.shape)
        numbers[:, surface.evaluated == 0] = np.nan
        findings = surface.findings.model_copy(
            update={
                "self_checks": () if end is None else (_check(end, loss, spread),),
                "trajectory": trajectory,
                "group": None if group is None else _group(group, y is not None),
            }
        )
        return dataclasses.replace(surface, numbers=numbers, findings=findings)

    return build


def _group(lengths: tuple[float, float], has_y: bool) -> GroupFound:
    return GroupFound(layers=(0, 2), x_norm=lengths[0], y_norm=lengths[1] if has_y else None)


def _check(end: tuple[float, float], loss: Formula, spread: Formula) -> SelfCheck:
    place = np.array([end[0]]), np.array([end[1]])
    value, stderr = float(loss(*place)[0]), float(spread(*place)[0])
    numbers = (value, 0.0, value, 0.0, stderr, 0.0, stderr, 0.0)
    return SelfCheck(
        checkpoint="finetuned",
        alpha=end[0],
        beta=end[1],
        expected=numbers,
        found=numbers,
        passed=not math.isnan(value),
    )
