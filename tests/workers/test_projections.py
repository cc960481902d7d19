"""Projections of constructed points, and the norms they rest on."""

import math

import numpy as np
import pytest

from bertscape_workers.checkpoints import distance, dot, norm, scale
from bertscape_workers.plane import least_squares, paper_projection


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_sums_accumulate_in_float64() -> None:
    many = np.full(3_000_000, 0.1, dtype=np.float32)
    exact = 3_000_000 * float(np.float32(0.1)) ** 2
    assert dot(many, many) == pytest.approx(exact, rel=1e-14)
    assert norm(many) == pytest.approx(math.sqrt(exact), rel=1e-14)


def test_scale_rounds_each_product_once() -> None:
    values = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    expected = (values.astype(np.float64) * 0.3).astype(np.float32)
    scale(values, 0.3)
    np.testing.assert_array_equal(values, expected)


def test_paper_projection_keeps_the_distance_from_theta0() -> None:
    delta1 = vector(2, 0, 0)
    alpha, beta = paper_projection(vector(1, 3, 4), delta1)
    assert alpha == 0.5
    assert beta == pytest.approx(2.5, rel=1e-15)  # √(1 + 9 + 16)/2 from θ0 in all


def test_paper_projection_of_points_along_delta1_has_no_beta() -> None:
    delta1 = np.random.default_rng(1).standard_normal(10_000).astype(np.float32)
    for factor in (0.0, 1.0, -2.0, 0.5):  # exact in float32
        alpha, beta = paper_projection(np.float32(factor) * delta1, delta1)
        assert alpha == pytest.approx(factor, abs=1e-14)
        assert beta == pytest.approx(0, abs=1e-6)


def test_least_squares_finds_a_point_of_a_slanted_plane() -> None:
    x, y = vector(2, 0, 0), vector(1, 1, 0)
    found = least_squares(vector(3.5, -1, 5), x, y, unit=2.0)
    assert found.alpha == pytest.approx(2.25)  # (3.5, −1) = 2.25·(2, 0) − 1·(1, 1)
    assert found.beta == pytest.approx(-1)
    assert found.residual == pytest.approx(2.5)


def test_least_squares_on_a_curve() -> None:
    found = least_squares(vector(3, 4, 0), vector(2, 0, 0), None, unit=2.0)
    assert (found.alpha, found.beta, found.residual) == (1.5, 0.0, 2.0)


def test_distance_from_a_point_of_the_plane_is_not_rounded_away() -> None:
    x = np.full(1000, 1e3, dtype=np.float32)
    near = x.copy()
    near[0] += 1e-3  # what differences of squares would lose
    assert distance(near, x, None, (1.0, 0.0)) == pytest.approx(float(near[0] - x[0]), rel=1e-6)
