"""The width of a basin, against formulas."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from bertscape.readings import BasinKind, basin_width

HALF_LOG_2 = 0.5 * math.log(2)


def wedge(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Piecewise linear in α: interpolation is exact."""
    return np.abs(alpha - 1) + np.abs(beta)


def grid(low: float, high: float, count: int, rows: tuple[float, float, int] = (-1, 1, 5)) -> Any:
    return {"x": [low, high, count], "y": list(rows)}


@pytest.mark.parametrize("count", [5, 9, 17])
def test_width_of_a_wedge(make_surface: Any, count: int) -> None:
    basin = basin_width(make_surface(loss=wedge, grid=grid(-1, 3, count)))
    assert basin.kind is BasinKind.WITHIN
    assert basin.threshold == HALF_LOG_2
    assert basin.low == pytest.approx(1 - HALF_LOG_2, abs=1e-12)
    assert basin.high == pytest.approx(1 + HALF_LOG_2, abs=1e-12)
    assert str(basin) == "0.69"


def test_a_curve_has_the_width_of_its_line(make_surface: Any) -> None:
    basin = basin_width(make_surface("curve", loss=wedge, grid={"x": [-1, 3, 9]}))
    assert basin.width == pytest.approx(2 * HALF_LOG_2, abs=1e-12)


def test_interpolates_between_rows_and_columns(make_surface: Any) -> None:
    def slope(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return 0.1 + 0.2 * (alpha - 1) + 0.3 * beta  # linear: exact everywhere

    # Neither α = 1 nor β = 0 is a grid value here.
    basin = basin_width(make_surface(loss=slope, grid=grid(-0.9, 3.4, 8, (-0.3, 1.2, 4))))
    assert basin.kind is BasinKind.AT_LEAST
    assert basin.low == -0.9
    assert basin.high == pytest.approx(1 + (HALF_LOG_2 - 0.1) / 0.2, abs=1e-12)


@pytest.mark.parametrize("origin", [{"origin": "finetuned"}, {"layers": "high"}])
def test_origin_finetuned_has_its_centre_at_0(make_surface: Any, origin: dict[str, str]) -> None:
    surface = make_surface(loss=lambda a, b: np.abs(a) + np.abs(b), grid=grid(-2, 2, 9), **origin)
    assert basin_width(surface).low == pytest.approx(-HALF_LOG_2, abs=1e-12)


def test_none_where_the_centre_is_above(make_surface: Any) -> None:
    basin = basin_width(make_surface(loss=lambda a, b: wedge(a, b) + HALF_LOG_2))
    assert (basin.kind, str(basin)) == (BasinKind.NONE, "none")
    assert math.isnan(basin.width)


def test_a_coarse_grid_does_not_hide_the_basin(make_surface: Any) -> None:
    coarse = make_surface(loss=wedge, grid=grid(-1, 3, 4))  # ⅔ at both neighbours of θ1
    basin = basin_width(coarse)
    assert basin.kind is BasinKind.WITHIN
    assert basin.low == pytest.approx(1 - HALF_LOG_2, abs=1e-12)
    assert basin.high == pytest.approx(1 + HALF_LOG_2, abs=1e-12)
    found = coarse.findings.model_copy(update={"self_checks": ()})
    assert basin_width(dataclasses.replace(coarse, findings=found)).kind is BasinKind.NONE


@pytest.mark.parametrize("ends", [(0.8, 3.0), (-1.0, 1.2), (0.8, 1.2)])
def test_at_least_where_it_meets_the_edge(make_surface: Any, ends: tuple[float, float]) -> None:
    basin = basin_width(make_surface(loss=wedge, grid=grid(*ends, 23)))
    assert basin.kind is BasinKind.AT_LEAST
    assert str(basin) == f"at least {basin.width:.2f}"
    assert basin.low == pytest.approx(max(ends[0], 1 - HALF_LOG_2), abs=1e-12)
    assert basin.high == pytest.approx(min(ends[1], 1 + HALF_LOG_2), abs=1e-12)


@pytest.mark.parametrize("wall", [math.nan, math.inf])
def test_nan_and_infinity_end_the_basin_at_their_neighbour(make_surface: Any, wall: float) -> None:
    def walled(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(np.abs(alpha - 1) < 0.9, 0.0, wall)

    basin = basin_width(make_surface(loss=walled, grid=grid(-1, 3, 9)))  # spacing ½
    assert (basin.kind, basin.low, basin.high) == (BasinKind.WITHIN, 0.5, 1.5)
    assert basin_width(make_surface(loss=lambda a, b: np.full_like(a, wall))).kind is BasinKind.NONE


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": grid(-1, 0.5, 7)},  # θ1 is right of the grid
        {"grid": grid(-1, 3, 9, (0.5, 1, 3))},  # no row at or below β = 0
        {"grid": grid(-1, 3, 9, (-1, -0.5, 3))},
        {"x": {"random": {"seed": 1}}},  # θ1 is on no such line
        {"layers": "high", "origin": "pretrained"},  # α = 1 has but one third of θ1
        {"holes": (2 * 7,)},  # in the row β = 0
    ],
)
def test_unknown_where_the_grid_does_not_tell(make_surface: Any, changes: dict[str, Any]) -> None:
    basin = basin_width(make_surface(**{"loss": wedge, **changes}))
    assert str(basin) == "not known"


def test_holes_elsewhere_do_not_matter(make_surface: Any) -> None:
    assert basin_width(make_surface(loss=wedge, holes=(0,))).kind is BasinKind.WITHIN


def test_more_classes_raise_the_threshold(make_surface: Any) -> None:
    surface = make_surface(loss=wedge)
    surface.findings.__dict__["classes"] = 4
    assert basin_width(surface).threshold == pytest.approx(math.log(2), abs=1e-12)
