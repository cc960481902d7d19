"""Consistency of two surfaces, against cases that are known."""

import math
from typing import Any

import numpy as np
import pytest

from bertscape.readings import consistency
from bertscape.readings.parts.ranks import average_ranks, rank_correlation
from bertscape.values import InvalidInput


def bowl(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """No two points of the grid below have equal values."""
    return 0.1 + (alpha - 1.013) ** 2 + 1.37 * (beta - 0.021) ** 2


GRID: dict[str, Any] = {"x": (-1, 3, 20), "y": (-2, 2, 10)}  # 200 points


def test_average_ranks() -> None:
    ranks = average_ranks(np.array([0.5, 0.1, 0.5, 0.2, 0.5]))
    assert ranks.tolist() == [4.0, 1.0, 4.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 25, 90], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 − 6·4/(5·24)
        ([1, 2, 3, 4], [1, 1, 2, 2], 2 / math.sqrt(5)),  # Pearson of (1,2,3,4), (1.5,1.5,3.5,3.5)
    ],
)
def test_rank_correlation(x: list[float], y: list[float], expected: float) -> None:
    found = rank_correlation(np.array(x, float), np.array(y, float))
    assert found == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_with_what_is_the_same_everywhere() -> None:
    assert math.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


@pytest.mark.parametrize("transform", [np.sqrt, np.exp, lambda loss: 3 * loss - 1, np.tanh])
def test_a_monotonic_transform_is_wholly_consistent(surface_of: Any, transform: Any) -> None:
    surface = surface_of(bowl, error=lambda a, b: transform(bowl(a, b) / 8), **GRID)
    found = consistency(surface)
    assert found.rank_correlation.value == pytest.approx(1.0, abs=1e-12)
    assert (found.overlap.value, found.points, found.low_points) == (1.0, 200, 20)


def test_a_reversed_surface_is_wholly_inconsistent(surface_of: Any) -> None:
    found = consistency(surface_of(bowl, error=lambda a, b: -bowl(a, b), **GRID))
    assert found.rank_correlation.value == pytest.approx(-1.0, abs=1e-12)
    assert found.overlap.value == 0.0


def test_overlap_of_shifted_regions(surface_of: Any) -> None:
    def column(alpha: np.ndarray, first: int) -> np.ndarray:
        return np.where((alpha >= first) & (alpha < first + 4), 0.0, 1.0)

    surface = surface_of(
        lambda a, b: column(a, 2), error=lambda a, b: column(a, 3), x=(0, 9, 10), y=(0, 4, 5)
    )
    found = consistency(surface, 0.4)  # four columns each, three in common, five in all
    assert found.low_points == 20
    assert found.overlap.value == pytest.approx(3 / 5, abs=1e-12)


def test_points_that_tie_share_the_last_places(surface_of: Any) -> None:
    def steps(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(alpha < 0.5, 0.0, np.where(alpha < 2.5, 1.0, 2.0))

    # The two lowest of (0, 1, 1, 2, 2): the first, and half of the second and third.
    surface = surface_of(steps, error=lambda a, b: a, x=(0, 4, 5), y=None, end=None)
    found = consistency(surface, 0.4)
    assert found.overlap.value == pytest.approx(1.5 / 2.5, abs=1e-12)


def test_a_plateau_overlaps_as_chance_has_it(surface_of: Any) -> None:
    found = consistency(surface_of(bowl, error=lambda a, b: np.full_like(a, 0.5), **GRID))
    assert math.isnan(found.rank_correlation.value)
    assert found.overlap.value == pytest.approx(found.chance, abs=1e-12)
    assert found.chance == pytest.approx(20 / 380, abs=1e-12)


def test_only_points_that_both_have_are_compared(surface_of: Any) -> None:
    def torn(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(alpha > 2.9, np.nan, bowl(alpha, beta))

    found = consistency(surface_of(bowl, error=torn, holes=(0, 1, 2), **GRID))
    assert found.points == 200 - 10 - 3
    assert found.rank_correlation.value == pytest.approx(1.0, abs=1e-12)
    nothing = consistency(surface_of(bowl, holes=tuple(range(199)), **GRID))
    assert nothing.points == 1
    assert math.isnan(nothing.rank_correlation.value)
    assert math.isnan(nothing.overlap.value)


def test_a_curve_has_a_consistency_too(surface_of: Any) -> None:
    surface = surface_of(bowl, error=lambda a, b: bowl(a, b) ** 2, y=None)
    assert consistency(surface).rank_correlation.value == pytest.approx(1.0, abs=1e-12)


def test_the_interval_holds_the_value_and_grows_with_the_errors(surface_of: Any) -> None:
    def noisy(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return bowl(alpha, beta) + 0.5 * np.sin(13 * alpha + 5 * beta)

    before = 0.0
    for stderr in (0.0, 0.01, 0.05, 0.2):
        found = consistency(surface_of(bowl, error=noisy, stderr=stderr, **GRID))
        for estimate in (found.rank_correlation, found.overlap):
            assert estimate.low <= estimate.value <= estimate.high <= 1
        width = found.rank_correlation.high - found.rank_correlation.low
        assert width > before or (stderr == 0 and width == 0)
        before = width


def test_the_bound_covers_what_correlated_errors_do(surface_of: Any) -> None:
    """Smooth errors of the stated size, drawn anew: 95 % of the results lie in the interval."""

    def noisy(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return bowl(alpha, beta) + 0.5 * np.sin(3 * alpha + 2 * beta)

    surface = surface_of(bowl, error=noisy, stderr=0.1, **GRID)
    found = consistency(surface).rank_correlation
    generator = np.random.default_rng(0)
    alpha, beta = surface.spec.points.coordinates(range(200)).T
    waves = np.stack([np.ones(200), np.cos(alpha), np.sin(alpha), np.cos(beta), np.sin(beta)])
    waves /= np.linalg.norm(waves, axis=0)
    drawn = [
        rank_correlation(
            surface.train_loss.ravel() + 0.1 * generator.normal(size=5) @ waves,
            surface.eval_error.ravel() + 0.1 * generator.normal(size=5) @ waves,
        )
        for _ in range(400)
    ]
    inside = np.mean([(found.low <= one <= found.high) for one in drawn])
    assert inside >= 0.95


def test_without_standard_errors_the_values_stand_alone(surface_of: Any) -> None:
    found = consistency(surface_of(bowl, error=bowl, stderr=math.nan, **GRID))
    assert found.rank_correlation.value == pytest.approx(1.0, abs=1e-12)
    assert math.isnan(found.rank_correlation.low)
    assert math.isnan(found.overlap.stderr)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, math.nan])
def test_a_fraction_is_between_0_and_1(surface_of: Any, fraction: float) -> None:
    with pytest.raises(InvalidInput, match=r"fraction: .*; expected a number between 0 and 1"):
        consistency(surface_of(bowl), fraction)
