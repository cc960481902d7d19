"""The width of the optimum, against areas that are known in closed form."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from bertscape.readings import optimum_area, optimum_areas, optimum_length
from bertscape.readings.parts.region import region_around
from bertscape.values import InvalidInput

HALF = 0.5  # the default threshold


def bowl(a: float = 1.0, b: float = 1.0, c: float = 0.0, at: tuple[float, float] = (1, 0)) -> Any:
    """a·u² + b·v² + 2c·u·v around `at`; below a level t it is an ellipse of π·t/√(ab − c²)."""

    def loss(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        u, v = alpha - at[0], beta - at[1]
        return 0.2 + a * u * u + b * v * v + 2 * c * u * v

    return loss


def diamond(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Linear in each cell of a grid that has α = 1 and β = 0: interpolation is exact."""
    return np.abs(alpha - 1) + np.abs(beta)


def slope(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return 0.3 + 0.2 * (alpha - 1) + 0.1 * beta


# ---------------------------------------------------------------------------------------- area


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.33, 1.0])
def test_area_of_what_is_linear_is_exact(surface_of: Any, threshold: float) -> None:
    found = optimum_area(surface_of(diamond), threshold)
    assert found.area.value == pytest.approx(2 * threshold**2, rel=1e-12)
    assert found.radius.value == pytest.approx(threshold * math.sqrt(2 / math.pi), rel=1e-12)
    assert (found.touches_border, found.interval_touches) == (False, False)
    assert not found.touches_holes


@pytest.mark.parametrize(
    ("a", "b", "c"), [(1.0, 1.0, 0.0), (4.0, 0.3, 0.0), (1.0, 0.8, 0.5), (0.5, 2.0, -0.7)]
)
@pytest.mark.parametrize("end", [(1.0, 0.0), (1.03, 0.0), (0.98, 0.047)])
def test_area_of_an_ellipse(
    surface_of: Any, a: float, b: float, c: float, end: tuple[float, float]
) -> None:
    found = optimum_area(surface_of(bowl(a, b, c, end), x=(-1, 3, 81), y=(-2, 2, 81), end=end))
    assert found.area.value == pytest.approx(math.pi * HALF / math.sqrt(a * b - c * c), rel=0.01)


def test_the_error_falls_with_the_square_of_the_spacing(surface_of: Any) -> None:
    errors = []
    for count in (21, 41, 81, 161):
        surface = surface_of(bowl(1.3, 0.7, 0.2), x=(-1, 3, count), y=(-2, 2, count))
        truth = math.pi * HALF / math.sqrt(1.3 * 0.7 - 0.04)
        errors.append(abs(optimum_area(surface).area.value / truth - 1))
    assert errors[-1] < 0.0005
    assert all(coarse / fine > 3 for coarse, fine in itertools.pairwise(errors))


def test_in_a_layer_group_an_area_is_in_one_unit(surface_of: Any) -> None:
    x, y = 3.0, 1.5  # ‖δ1ᴳ‖, ‖δ2ᴳ‖
    round_bowl = bowl(x**2, y**2, at=(0, 0))  # J − J(θ1) is the square of the distance
    axes: dict[str, Any] = {"x": (-1, 1, 161), "y": (-2, 2, 161), "end": (0.0, 0.0)}
    found = optimum_area(surface_of(round_bowl, **axes, group=(x, y)))
    assert found.area.value == pytest.approx(math.pi * HALF / x**2, rel=0.01)
    assert found.radius.value == pytest.approx(math.sqrt(HALF) / x, rel=0.01)
    picture = optimum_area(surface_of(round_bowl, **axes))
    assert found.area.high == pytest.approx(picture.area.high * y / x, rel=1e-12)


def test_the_level_is_that_of_the_end_point_not_of_the_minimum(surface_of: Any) -> None:
    surface = surface_of(bowl(at=(0.63, 0.21)), x=(-1, 3, 161), y=(-2, 2, 161))
    above_minimum = 0.37**2 + 0.21**2
    found = optimum_area(surface)
    assert found.area.value == pytest.approx(math.pi * (HALF + above_minimum), rel=0.002)


def test_a_basin_narrower_than_a_cell_is_not_lost(surface_of: Any) -> None:
    steep = surface_of(bowl(100, 100, at=(1.25, 0.25)), x=(0, 2, 5), y=(-1, 1, 5), end=(1.25, 0.25))
    found = optimum_area(steep)
    # Corners are 12.5 above θ1, the middle of its cell: a square shrunk by 0.5/12.5 = 1/25.
    assert found.area.value == pytest.approx(0.25 / 25**2, rel=1e-9)
    assert not found.touches_border


def test_what_is_tilted_meets_the_border(surface_of: Any) -> None:
    found = optimum_area(surface_of(slope, x=(-1, 2, 7), y=(-1, 1, 5)), 0.1)
    assert found.area.value == pytest.approx(5.0, rel=1e-12)  # left of α = 1.5 − β/2
    assert found.touches_border


def test_meeting_the_border_takes_a_point_of_it(surface_of: Any) -> None:
    inside = optimum_area(surface_of(diamond, x=(0, 2, 21), y=(-1, 1, 21), stderr=0), 0.999)
    outside = optimum_area(surface_of(diamond, x=(0, 2, 21), y=(-1, 1, 21), stderr=0), 1.001)
    assert (inside.touches_border, outside.touches_border) == (False, True)
    on_it = optimum_area(surface_of(diamond, x=(-1, 1, 21), y=(-1, 1, 21)), 0.05)
    assert on_it.touches_border
    assert on_it.area.value == pytest.approx(0.05**2, rel=1e-12)  # half of the diamond


def test_only_the_connected_region_counts(surface_of: Any) -> None:
    def two(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        here = (alpha - 1) ** 2 + beta**2
        there = (alpha + 1.5) ** 2 + beta**2
        return np.minimum(here, there)

    axes = {"x": (-3, 3, 121), "y": (-2, 2, 81)}
    assert optimum_area(surface_of(two, **axes), 0.5).area.value == pytest.approx(
        math.pi / 2, rel=0.01
    )
    # They meet at α = −¼, 1.25² high; just above that both count.
    together = optimum_area(surface_of(two, **axes), 1.6)
    assert together.area.value > 1.7 * math.pi * 1.6


def test_regions_that_meet_at_a_corner_alone_are_apart() -> None:
    values = np.ones((5, 5))
    values[:3, :3] = 0.0
    values[3:, 3:] = 0.0  # (2, 2) and (3, 3) share a cell whose middle has the mean, ½
    axis = np.arange(5.0)
    options: Any = {"holes": np.zeros((5, 5), bool), "centre": (1.0, 1.0), "centre_value": 0.0}
    apart = region_around(axis, axis, values, level=0.4, **options)
    joined = region_around(axis, axis, values, level=0.6, **options)
    assert joined.area > 1.5 * apart.area
    assert apart.area > 4


def test_not_a_number_and_infinity_are_outside(surface_of: Any) -> None:
    for wall in (math.nan, math.inf, 1e300):

        def walled(alpha: np.ndarray, beta: np.ndarray, wall: float = wall) -> np.ndarray:
            inside = np.maximum(np.abs(alpha - 1), np.abs(beta)) < 0.55  # points up to ½ away
            return np.where(inside, 0.0, wall)

        found = optimum_area(surface_of(walled))
        assert found.area.value == pytest.approx(1.0, rel=1e-12)
        assert (found.touches_border, found.touches_holes) == (False, False)


def test_holes_are_said(surface_of: Any) -> None:
    whole = surface_of(diamond)
    far, near = 0, 20 * 41 + 24  # (−1, −2); (1.4, 0) within the region
    assert not optimum_area(surface_of(diamond, holes=(far,))).touches_holes
    found = optimum_area(surface_of(diamond, holes=(near,)))
    assert found.touches_holes
    assert not found.touches_border
    assert found.area.value < optimum_area(whole).area.value


def test_holes_all_around_leave_nothing_but_say_so(surface_of: Any) -> None:
    found = optimum_area(surface_of(diamond, holes=tuple(range(41 * 41))))
    assert (found.area.value, found.touches_holes) == (0.0, True)


def test_more_threshold_is_more_area(surface_of: Any) -> None:
    def rough(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return (alpha - 1) ** 2 + beta**2 + 0.3 * np.sin(9 * alpha) * np.cos(7 * beta)

    thresholds = tuple(np.linspace(0.02, 4, 40))
    sizes = [found.area.value for found in optimum_areas(surface_of(rough), thresholds)]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 16.0
    assert len(set(sizes)) == len(sizes)


# ------------------------------------------------------------------------------------- intervals


def test_the_interval_spans_what_two_standard_errors_make_of_the_level(surface_of: Any) -> None:
    found = optimum_area(surface_of(bowl(), x=(-1, 3, 161), y=(-2, 2, 161)))
    margin = 1.96 * 0.02  # the errors of the point and of θ1 added
    assert found.area.low == pytest.approx(math.pi * (HALF - margin), rel=0.002)
    assert found.area.high == pytest.approx(math.pi * (HALF + margin), rel=0.002)
    assert found.area.stderr == pytest.approx(math.pi * 0.02, rel=0.01)
    assert found.radius.low == pytest.approx(math.sqrt(found.area.low / math.pi), rel=1e-12)


def test_the_interval_may_touch_where_the_region_does_not(surface_of: Any) -> None:
    surface = surface_of(diamond, x=(0, 2, 21), y=(-1, 1, 21), stderr=0.01)
    found = optimum_area(surface, 0.98)
    assert (found.touches_border, found.interval_touches) == (False, True)
    line = optimum_length(surface, 0.98)
    assert (line.touches_border, line.interval_touches) == (False, True)


def test_without_standard_errors_the_value_stands_alone(surface_of: Any) -> None:
    surface = surface_of(diamond, stderr=math.nan)  # of one example
    for estimate in (optimum_area(surface).area, optimum_length(surface).length):
        assert estimate.value > 0
        assert math.isnan(estimate.stderr)
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)


# ---------------------------------------------------------------------------------------- length


@pytest.mark.parametrize("y", [None, (-2, 2, 41), (-2, 2, 40)])  # 40: no row at β = 0
@pytest.mark.parametrize("end", [1.0, 1.04])
def test_length_of_a_wedge(surface_of: Any, y: Any, end: float) -> None:
    surface = surface_of(lambda a, b: np.abs(a - end), y=y, end=(end, 0.0))
    found = optimum_length(surface, 0.5)
    exact = end == 1.0
    assert found.length.value == pytest.approx(1.0, rel=1e-12 if exact else 0.1)
    assert found.low < end < found.high
    assert (found.touches_border, found.touches_holes) == (False, False)


def test_length_of_a_parabola_off_the_grid(surface_of: Any) -> None:
    surface = surface_of(bowl(at=(0.93, 0)), x=(-1, 3, 161), y=None, end=(0.93, 0.0))
    found = optimum_length(surface, 0.5)
    assert found.length.value == pytest.approx(math.sqrt(2), rel=0.001)
    assert found.high == pytest.approx(0.93 + math.sqrt(0.5), abs=0.001)


def test_length_says_where_it_ends(surface_of: Any) -> None:
    sloping = optimum_length(surface_of(slope, x=(-1, 2, 31), y=None), 0.1)
    assert (sloping.low, sloping.touches_border) == (-1.0, True)
    assert sloping.high == pytest.approx(1.5, abs=1e-12)
    hole = optimum_length(surface_of(diamond, y=None, holes=(23,)), 0.5)  # α = 1.3
    assert hole.high == pytest.approx(1.2, abs=1e-12)
    assert (hole.touches_holes, hole.touches_border) == (True, False)
    computed = surface_of(lambda a, b: np.where(a > 1.25, np.nan, diamond(a, b)), y=None)
    found = optimum_length(computed, 0.5)
    assert found.high == pytest.approx(1.2, abs=1e-12)
    assert not found.touches_holes


def test_a_second_basin_of_a_curve_does_not_count(surface_of: Any) -> None:
    def two(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.minimum(np.abs(alpha - 1), np.abs(alpha + 0.5))

    assert optimum_length(surface_of(two, y=None), 0.5).length.value == pytest.approx(
        1.0, rel=1e-12
    )


# --------------------------------------------------------------------------------------- absences


@pytest.mark.parametrize(
    "changes", [{"end": None}, {"end": (3.5, 0.0)}, {"end": (1.0, 2.5)}, {"y": (0.5, 2, 16)}]
)
def test_no_width_where_the_grid_does_not_hold_the_end(surface_of: Any, changes: Any) -> None:
    surface = surface_of(diamond, **changes)
    assert optimum_area(surface) is None
    assert optimum_length(surface) is None
    assert optimum_areas(surface) == ()


def test_a_curve_has_no_area(surface_of: Any) -> None:
    assert optimum_area(surface_of(diamond, y=None)) is None


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_not_known_where_the_end_has_no_finite_loss(surface_of: Any, lost: float) -> None:
    surface = surface_of(lambda a, b: np.where((a == 1) & (b == 0), lost, diamond(a, b)))
    assert math.isnan(optimum_area(surface).area.value)
    assert math.isnan(optimum_length(surface).length.value)
    assert not optimum_area(surface).touches_border


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_a_threshold_is_above_0(surface_of: Any, threshold: float) -> None:
    for measure in (optimum_area, optimum_length):
        with pytest.raises(InvalidInput, match=r"threshold: .*; expected a number above 0"):
            measure(surface_of(diamond), threshold)
