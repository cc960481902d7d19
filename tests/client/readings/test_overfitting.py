"""What happens after the minimum of the training loss, on trajectories written by hand."""

import math
from typing import Any

import numpy as np
import pytest

from bertscape.readings import overfitting
from bertscape.values import InvalidInput, TrajectoryFound


def flat(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return np.zeros_like(alpha)


def trajectory(
    train: list[float], loss: list[float], error: list[float], stderr: float = 0.03
) -> TrajectoryFound:
    nowhere = (0.0,) * len(train)
    return TrajectoryFound(
        step=tuple(10 * index for index in range(len(train))),
        alpha=nowhere,
        beta=nowhere,
        alpha_lsq=nowhere,
        beta_lsq=nowhere,
        residual=nowhere,
        numbers=tuple(
            (t, 0.0, j, e, stderr, 0.0, 0.04, 0.05)
            for t, j, e in zip(train, loss, error, strict=True)
        ),
    )


RISING = trajectory([0.7, 0.3, 0.1, 0.2, 0.4], [0.7, 0.5, 0.4, 0.6, 0.9], [0.5, 0.3, 0.2, 0.2, 0.3])


def test_changes_after_the_minimum(surface_of: Any) -> None:
    found = overfitting(surface_of(flat, trajectory=RISING))
    assert (found.minimum_step, found.minimum, found.from_step) == (20, 0.1, 20)
    assert [change.step for change in found.changes] == [30, 40]
    assert found.last.eval_loss.value == pytest.approx(0.5, abs=1e-12)
    assert found.last.eval_error.value == pytest.approx(0.1, abs=1e-12)
    assert found.last.eval_loss.stderr == pytest.approx(math.hypot(0.04, 0.04), rel=1e-12)
    assert found.last.eval_error.stderr == pytest.approx(math.hypot(0.05, 0.05), rel=1e-12)


def test_a_loss_that_creeps_down_is_at_its_minimum_within_its_error(surface_of: Any) -> None:
    creeping = trajectory([0.7, 0.12, 0.11, 0.10], [0.7, 0.4, 0.5, 0.6], [0.5, 0.2, 0.2, 0.3])
    surface = surface_of(flat, trajectory=creeping)
    found = overfitting(surface)
    assert (found.minimum_step, found.from_step, found.last.step) == (30, 10, 30)
    assert found.last.eval_loss.value == pytest.approx(0.2, abs=1e-12)
    strict = overfitting(surface, within=0)
    assert (strict.from_step, strict.changes, strict.last) == (30, (), None)


def test_values_that_are_not_finite_are_no_minimum(surface_of: Any) -> None:
    torn = trajectory([0.7, math.nan, 0.2, 0.3], [0.7, 0.1, 0.4, math.nan], [0.5, 0.1, 0.2, 0.4])
    found = overfitting(surface_of(flat, trajectory=torn))
    assert found.minimum_step == 20
    assert math.isnan(found.last.eval_loss.value)
    assert found.last.eval_error.value == pytest.approx(0.2, abs=1e-12)
    lost = trajectory([math.nan, math.inf], [0.7, 0.1], [0.5, 0.1])
    assert overfitting(surface_of(flat, trajectory=lost)) is None


def test_standard_errors_that_are_not_known(surface_of: Any) -> None:
    single = trajectory([0.3, 0.1, 0.2], [0.7, 0.4, 0.5], [0.5, 0.0, 1.0], stderr=math.nan)
    assert overfitting(surface_of(flat, trajectory=single)).from_step == 10


def test_later_is_by_step_whatever_the_order_of_the_list(surface_of: Any) -> None:
    expected = overfitting(surface_of(flat, trajectory=RISING))
    order = [3, 0, 4, 2, 1]
    members = RISING.model_dump()
    mixed = TrajectoryFound(
        **{name: tuple(values[place] for place in order) for name, values in members.items()}
    )
    assert overfitting(surface_of(flat, trajectory=mixed)) == expected


def test_none_without_a_trajectory(surface_of: Any) -> None:
    assert overfitting(surface_of(flat)) is None
    with pytest.raises(InvalidInput, match=r"within: -1; expected a number from 0"):
        overfitting(surface_of(flat), within=-1)
