"""Each checkpoint's true value beside the surface's at its projections, on bowls."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from bertscape.readings import shown_checkpoints
from bertscape.spec import Direction, Random
from bertscape.values import InvalidInput, TrajectoryFound


def tilted(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Linear: interpolation is exact."""
    return 1.0 - 0.5 * alpha + 0.25 * beta


def trajectory(**changes: Any) -> TrajectoryFound:
    values: dict[str, Any] = {
        "step": (0, 5, 10),
        "alpha": (0.0, 0.4, 1.0),
        "beta": (0.0, 0.3, 0.0),
        "alpha_lsq": (0.0, 0.4, 1.0),
        "beta_lsq": (0.0, 0.13, 0.0),
        "residual": (0.0, 0.27, 0.0),
        "numbers": tuple(
            (loss, 0.0, 2.0, 0.4, 0.02, 0.0, 0.0, 0.05) for loss in (1.0, 0.9375, 0.5)
        ),
    }
    return TrajectoryFound(**{**values, **changes})


def test_on_the_plane_true_and_shown_are_one(surface_of: Any) -> None:
    start, middle, end = shown_checkpoints(surface_of(tilted, trajectory=trajectory()))
    for checkpoint in (start, end):
        assert checkpoint.least_squares.value == pytest.approx(checkpoint.true.value, abs=1e-12)
        assert checkpoint.paper.value == pytest.approx(checkpoint.true.value, abs=1e-12)
        assert checkpoint.residual == 0
    assert (middle.step, middle.residual) == (5, 0.27)
    assert middle.least_squares.value == pytest.approx(1 - 0.2 + 0.25 * 0.13, abs=1e-12)
    assert middle.paper.value == pytest.approx(1 - 0.2 + 0.25 * 0.3, abs=1e-12)
    assert (middle.paper.alpha, middle.paper.beta) == (0.4, 0.3)
    assert middle.true.value - middle.least_squares.value == pytest.approx(0.105, abs=1e-12)
    assert middle.true.stderr == 0.02


def test_a_minimum_off_the_grid_is_shown_by_its_neighbours(surface_of: Any) -> None:
    def bowl(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return (alpha - 0.97) ** 2 + (beta - 0.02) ** 2

    place = trajectory(alpha_lsq=(0.0, 0.4, 0.97), beta_lsq=(0.0, 0.13, 0.02))
    *_, end = shown_checkpoints(surface_of(bowl, x=(-1, 3, 41), trajectory=place))
    assert 0 < end.least_squares.value <= 2 * 0.1**2 / 4  # curvature · spacing² / 4, two axes


def test_what_the_surface_does_not_have_is_not_a_number(surface_of: Any) -> None:
    places = trajectory(alpha=(0.0, math.nan, 9.0), beta=(0.0, math.nan, 0.0))
    _, undefined, outside = shown_checkpoints(surface_of(tilted, trajectory=places))
    assert math.isnan(undefined.paper.alpha)
    assert math.isnan(undefined.paper.value)
    assert outside.paper.alpha == 9.0
    assert math.isnan(outside.paper.value)
    assert not math.isnan(outside.least_squares.value)
    holes = tuple(range(41 * 41))
    for one in shown_checkpoints(surface_of(tilted, trajectory=trajectory(), holes=holes)):
        assert math.isnan(one.least_squares.value)
        assert not math.isnan(one.true.value)


def test_on_a_random_direction_the_papers_projection_has_no_place(surface_of: Any) -> None:
    surface = surface_of(tilted, trajectory=trajectory())
    spec = surface.spec.model_copy(update={"y": Direction(random=Random(seed=0))})
    for one in shown_checkpoints(dataclasses.replace(surface, spec=spec)):
        assert math.isnan(one.paper.alpha + one.paper.beta)
        assert math.isnan(one.paper.value)
        assert not math.isnan(one.least_squares.value)


def test_other_values_and_curves(surface_of: Any) -> None:
    errors = shown_checkpoints(surface_of(tilted, trajectory=trajectory()), "eval_error")
    assert [one.true.value for one in errors] == [0.4, 0.4, 0.4]
    assert errors[0].true.stderr == 0.05
    on_a_line = trajectory(beta_lsq=(0.0, 0.0, 0.0))
    middle = shown_checkpoints(surface_of(tilted, y=None, trajectory=on_a_line))[1]
    assert middle.least_squares.value == pytest.approx(0.8, abs=1e-12)
    assert math.isnan(middle.paper.value)  # off the line


def test_none_without_a_trajectory_and_no_standard_errors(surface_of: Any) -> None:
    assert shown_checkpoints(surface_of(tilted)) == ()
    with pytest.raises(InvalidInput, match=r"value: 'eval_loss_stderr'; expected one of train_lo"):
        shown_checkpoints(surface_of(tilted), "eval_loss_stderr")
