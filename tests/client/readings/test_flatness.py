"""Rise on circles and curvature, against parabolas and planes."""

import math
from typing import Any

import numpy as np
import pytest

from bertscape.readings import circle_rise, circle_rises, curvature
from bertscape.values import InvalidInput


def quadratic(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Curvature 3 along x, 1 along y, with a slope and a cross term."""
    u, v = alpha - 1, beta
    return 0.7 + 0.2 * u - 0.1 * v + 1.5 * u * u + 0.5 * v * v + 0.4 * u * v


def bowl(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return 0.1 + 1.5 * (alpha - 1) ** 2 + 0.5 * beta**2


FINE: dict[str, Any] = {"x": (-1, 3, 161), "y": (-2, 2, 161)}


# -------------------------------------------------------------------------------------- circles


@pytest.mark.parametrize("radius", [0.25, 0.5, 1.3])
def test_rise_of_a_bowl(surface_of: Any, radius: float) -> None:
    found = circle_rise(surface_of(bowl, **FINE), radius)
    assert found.mean.value == pytest.approx(1.0 * radius**2, abs=5e-4)
    assert found.maximum.value == pytest.approx(1.5 * radius**2, abs=1e-3)
    assert found.known == 1.0


def test_rise_of_a_plane_is_exact(surface_of: Any) -> None:
    surface = surface_of(lambda a, b: 2 + 0.3 * (a - 1) + 0.4 * b, end=(1.03, -0.02))
    found = circle_rise(surface, 0.8)
    assert found.mean.value == pytest.approx(0.0, abs=1e-12)
    assert found.maximum.value == pytest.approx(0.4, rel=1e-4)  # 720 angles


def test_the_part_outside_is_left_out_and_counted(surface_of: Any) -> None:
    surface = surface_of(bowl, x=(-1, 1.5, 51), y=(-2, 2, 81))
    found = circle_rise(surface, 1.0)  # right of α = 1.5 lies a third of the circle
    assert found.known == pytest.approx(2 / 3, abs=0.005)
    assert found.maximum.value == pytest.approx(1.5, abs=0.01)


def test_nothing_known_of_a_circle_around_the_grid(surface_of: Any) -> None:
    found = circle_rise(surface_of(bowl), 10.0)
    assert found.known == 0.0
    assert math.isnan(found.mean.value)
    assert math.isnan(found.maximum.value)


def test_holes_and_what_is_not_finite_are_left_out(surface_of: Any) -> None:
    def half(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(beta < -0.01, np.inf, bowl(alpha, beta))

    assert circle_rise(surface_of(half), 0.5).known == pytest.approx(0.5, abs=0.01)
    everything = tuple(range(41 * 41))
    assert circle_rise(surface_of(bowl, holes=everything[: 20 * 41]), 0.5).known == pytest.approx(
        0.5, abs=0.01
    )


def test_on_a_curve_a_circle_is_two_points(surface_of: Any) -> None:
    surface = surface_of(lambda a, b: np.where(a < 1, 2 * (1 - a), 6 * (a - 1)), y=None)
    found = circle_rise(surface, 0.5)
    assert (found.mean.value, found.maximum.value) == pytest.approx((2.0, 3.0), abs=1e-12)
    assert circle_rise(surface, 2.0 + 1e-6).known == 0.0
    assert circle_rise(surface_of(bowl, x=(0.5, 3, 26), y=None), 1.0).known == 0.5


def test_in_a_layer_group_a_circle_is_one_of_parameter_space(surface_of: Any) -> None:
    x, y = 3.0, 1.5  # ‖δ1ᴳ‖, ‖δ2ᴳ‖

    def loss(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return 0.1 + 0.2 * ((x * alpha) ** 2 + (y * beta) ** 2)  # the same in all directions

    surface = surface_of(loss, x=(-2, 2, 161), y=(-3, 3, 241), end=(0.0, 0.0), group=(x, y))
    for radius in (0.25, 0.5, 1.3):
        found = circle_rise(surface, radius)
        assert found.known == 1.0
        assert found.mean.value == pytest.approx(0.2 * (x * radius) ** 2, abs=1e-3)
        assert found.maximum.value == pytest.approx(0.2 * (x * radius) ** 2, abs=2e-3)
    for axis in ("x", "y"):
        bend = curvature(surface, axis)
        assert bend.curvature.value == pytest.approx(0.4 * x**2, abs=1e-9)
        assert (bend.low, bend.high) == pytest.approx((-0.05, 0.05), abs=1e-12)
    along = circle_rise(surface_of(loss, x=(-2, 2, 81), y=None, end=(0.0, 0.0), group=(x, y)), 0.5)
    assert along.mean.value == pytest.approx(0.05 * x**2, abs=1e-9)


def test_its_error_is_that_of_both_points(surface_of: Any) -> None:
    found = circle_rise(surface_of(bowl), 0.5)
    assert found.mean.stderr == pytest.approx(0.02, rel=1e-9)
    assert found.mean.high - found.mean.value == pytest.approx(1.96 * 0.02, rel=1e-3)
    assert math.isnan(circle_rise(surface_of(bowl, stderr=math.nan), 0.5).mean.low)


def test_no_circle_without_an_end(surface_of: Any) -> None:
    assert circle_rise(surface_of(bowl, end=None), 0.5) is None
    assert circle_rises(surface_of(bowl, end=(1.0, 9.0))) == ()
    assert [found.radius for found in circle_rises(surface_of(bowl))] == [0.25, 0.5, 1.0]
    with pytest.raises(InvalidInput, match=r"radius: -1.0; expected a number above 0"):
        circle_rise(surface_of(bowl), -1.0)


# ------------------------------------------------------------------------------------- curvature


@pytest.mark.parametrize("end", [(1.0, 0.0), (1.03, 0.0), (0.97, 0.04), (3.0, 2.0), (-0.98, 0.0)])
@pytest.mark.parametrize("points", [3, 5, 8])
def test_curvature_of_a_parabola_is_exact(surface_of: Any, end: Any, points: int) -> None:
    surface = surface_of(quadratic, end=end)
    along_x, along_y = curvature(surface, "x", points), curvature(surface, "y", points)
    assert along_x.curvature.value == pytest.approx(3.0, abs=1e-9)
    assert along_y.curvature.value == pytest.approx(1.0, abs=1e-9)
    assert along_x.residual == pytest.approx(0.0, abs=1e-12)
    assert along_x.points == points


def test_curvature_of_a_curve(surface_of: Any) -> None:
    surface = surface_of(quadratic, y=None, end=(1.02, 0.0))
    assert curvature(surface).curvature.value == pytest.approx(3.0, abs=1e-9)
    assert curvature(surface, "y") is None


def test_the_points_are_the_nearest_ones(surface_of: Any) -> None:
    found = curvature(surface_of(quadratic), "x", 5)
    assert (found.low, found.high) == pytest.approx((0.8, 1.2), abs=1e-12)
    at_the_border = curvature(surface_of(quadratic, end=(3.0, 0.0)), "x", 5)
    assert (at_the_border.low, at_the_border.high) == pytest.approx((2.6, 3.0), abs=1e-12)


def test_a_poor_fit_shows(surface_of: Any) -> None:
    found = curvature(surface_of(lambda a, b: np.abs(a - 1)), "x", 5)
    # Least squares over |t| at t = 0, ±h, ±2h: c = 6/(7h), residuals as the normal equations leave.
    assert found.curvature.value == pytest.approx(6 / 0.7, rel=1e-9)
    assert found.residual > 0.01


def test_points_that_are_not_finite_are_left_out(surface_of: Any) -> None:
    def torn(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(np.abs(alpha - 1.1) < 0.01, np.nan, quadratic(alpha, beta))

    found = curvature(surface_of(torn), "x", 5)
    assert found.points == 4
    assert found.curvature.value == pytest.approx(3.0, abs=1e-9)
    few = curvature(surface_of(torn), "x", 3)
    assert few.points == 2
    assert math.isnan(few.curvature.value)


def test_its_standard_errors(surface_of: Any) -> None:
    surface = surface_of(quadratic, stderr=lambda a, b: 0.01 + 0.03 * (a - 1) ** 2)
    found = curvature(surface, "x", 3)  # (1, −2, 1)/h² with h = 0.1
    assert found.curvature.stderr == pytest.approx(2 * 0.03, rel=1e-9)
    assert found.stderr_at_most == pytest.approx((4 * 0.01 + 2 * 0.03 * 0.01) / 0.01, rel=1e-9)
    unknown = curvature(surface_of(quadratic, stderr=math.nan))
    assert unknown.curvature.value == pytest.approx(3.0, abs=1e-9)
    assert math.isnan(unknown.curvature.low)
    assert math.isnan(unknown.stderr_at_most)


def test_what_curvature_refuses(surface_of: Any) -> None:
    assert curvature(surface_of(quadratic, end=None)) is None
    with pytest.raises(InvalidInput, match=r"axis: 'z'; expected x or y"):
        curvature(surface_of(quadratic), "z")
    with pytest.raises(InvalidInput, match=r"points: 2; expected at least 3"):
        curvature(surface_of(quadratic), "x", 2)
