"""All readings of a surface together, and the command that prints them."""

import argparse
import dataclasses
import inspect
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertscape import readings
from bertscape.cli import main
from bertscape.cli.measure_command import MEASURE
from bertscape.readings import measure
from bertscape.readings.parts import directions
from bertscape.results import write_surface
from bertscape.spec import Direction, Random


def bowl(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return 0.1 + (alpha - 1) ** 2 + beta**2


def test_readings_of_a_surface(surface_of: Any) -> None:
    found = measure(surface_of(bowl))
    assert found.end_point.train_loss == pytest.approx(0.1, abs=1e-12)
    assert [area.threshold for area in found.areas] == [0.1, 0.25, 0.5, 1.0]
    assert [length.threshold for length in found.lengths] == [0.1, 0.25, 0.5, 1.0]
    assert [circle.radius for circle in found.circles] == [0.25, 0.5, 1.0]
    assert [one.axis for one in found.curvatures] == ["x", "y"]
    assert found.overfitting is None
    assert found.directions.cosine == pytest.approx(0.1234567890123)
    assert found.directions.area_factor == pytest.approx(math.sqrt(1 - 0.1234567890123**2))


def test_readings_of_a_curve(surface_of: Any) -> None:
    found = measure(surface_of(bowl, y=None), thresholds=[0.3], radii=[0.7])
    assert (found.areas, found.directions) == ((), None)
    assert [length.threshold for length in found.lengths] == [0.3]
    assert [circle.radius for circle in found.circles] == [0.7]
    assert [one.axis for one in found.curvatures] == ["x"]


def test_a_plane_without_the_end_has_what_does_not_need_it(surface_of: Any) -> None:
    found = measure(surface_of(bowl, end=None))
    assert (found.end_point, found.areas, found.lengths, found.circles) == (None, (), (), ())
    assert found.curvatures == ()
    assert found.consistency.points == 41 * 41


def test_parallel_directions_span_nothing(surface_of: Any) -> None:
    surface = surface_of(bowl)
    surface.findings.__dict__["cosine"] = -1.0000000000000002
    assert directions(surface).area_factor == 0.0


@pytest.mark.parametrize(
    "loss",
    [
        bowl,
        lambda a, b: np.full_like(a, math.nan),
        lambda a, b: np.full_like(a, math.inf),
        lambda a, b: np.where(a > 1, 1e38, 1.0),  # as large as float32 logits make it
    ],
)
@pytest.mark.parametrize(
    "axes",
    [
        {"x": (0, 2, 2), "y": (-1, 1, 2)},
        {"x": (1, 2, 2), "y": (0, 1, 3)},  # θ1 in the corner
        {"x": (0, 2, 3), "y": None},
        {"x": (0, 1, 2), "y": None, "end": None},
    ],
)
def test_the_smallest_grids_and_the_worst_losses_can_be_measured(
    surface_of: Any, loss: Any, axes: Any
) -> None:
    found = measure(surface_of(loss, **axes))
    assert json.dumps(found.to_json(), allow_nan=False)
    for area in found.areas:
        assert not area.area.value < 0
    if loss is bowl and found.lengths:
        assert found.lengths[0].length.value > 0


def test_json_holds_no_bare_nan(surface_of: Any) -> None:
    values = measure(surface_of(bowl, stderr=math.nan)).to_json()
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text)["areas"][0]["area"]["low"] == "NaN"


# ------------------------------------------------------------------------------------ the command


@pytest.fixture
def file(tmp_path: Path, surface_of: Any) -> Path:
    path = tmp_path / "bowl.h5"
    write_surface(surface_of(bowl, x=(-1, 3, 81), y=(-2, 2, 81)), path)
    return path


def test_measure_prints_a_table(file: Path, capsys: Any) -> None:
    assert main(["measure", str(file)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["READING", "VALUE", "95", "%", "INTERVAL", "REMARK"]
    area = next(line for line in lines if line.startswith("area below J(θ1) + 0.5 nat"))
    assert "1.57" in area  # π/2
    assert "nan" not in out.lower()
    assert err == ""


def test_measure_says_in_which_units(tmp_path: Path, surface_of: Any, capsys: Any) -> None:
    random = surface_of(bowl)
    spec = random.spec.model_copy(update={"y": Direction(random=Random(seed=0))})
    surfaces = {
        ("‖δ1‖²", "‖δ1‖", "‖δ1‖²"): surface_of(bowl),
        ("‖δ1ᴳ‖²", "‖δ1ᴳ‖", "‖δ1ᴳ‖²"): surface_of(bowl, group=(2.0, 3.0)),
        ("‖δ1‖·‖δ2‖", "axis units", "‖δ2‖²"): dataclasses.replace(random, spec=spec),
    }
    for (area, radius, beta), surface in surfaces.items():
        write_surface(surface, tmp_path / "one.h5")
        assert main(["measure", str(tmp_path / "one.h5")]) == 0
        out = capsys.readouterr().out
        assert f"area below J(θ1) + 0.5 nat ({area})" in out
        assert f"radius below J(θ1) + 0.5 nat ({radius})" in out
        assert f"mean rise at 0.5 {radius} (nat)" in out
        assert f"curvature along β (nat/{beta})" in out


def test_measure_takes_its_options(file: Path, capsys: Any) -> None:
    options = ["--threshold", "0.2", "--threshold", "0.3", "--radius", "0.4", "--fraction", "0.2"]
    assert main(["measure", str(file), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [area["threshold"] for area in found["areas"]] == [0.2, 0.3]
    assert [circle["radius"] for circle in found["circles"]] == [0.4]
    assert found["consistency"]["fraction"] == 0.2
    assert found["areas"][0]["area"]["value"] == pytest.approx(math.pi * 0.2, rel=0.01)


def test_measure_says_what_is_cut_off(tmp_path: Path, surface_of: Any, capsys: Any) -> None:
    path = tmp_path / "small.h5"
    surface = surface_of(bowl, x=(0, 1.5, 16), y=(-1, 1, 21), holes=(5 * 16 + 5,))  # (½, −½)
    write_surface(surface, path)
    assert main(["measure", str(path)]) == 0
    out = capsys.readouterr().out
    assert "at least: touches the border" in out
    assert "at least: touches the border and holes" in out  # up to J(θ1) + 1
    assert "% of the circle was evaluated" in out


def test_measure_of_a_plane_without_the_end(tmp_path: Path, surface_of: Any, capsys: Any) -> None:
    path = tmp_path / "elsewhere.h5"
    write_surface(surface_of(bowl, end=None), path)
    assert main(["measure", str(path)]) == 0
    assert "θ1 lies outside the grid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "-1"], "threshold: -1.0; expected a number above 0"),
        (["--radius", "nan"], "radius: nan; expected a number above 0"),
        (["--fraction", "2"], "fraction: 2.0; expected a number between 0 and 1"),
    ],
)
def test_measure_refuses_wrong_options(
    file: Path, arguments: list[str], message: str, capsys: Any
) -> None:
    assert main(["measure", str(file), *arguments]) == 2
    assert capsys.readouterr() == ("", f"bertscape: {message}\n")


def test_measure_refuses_what_is_no_surface(tmp_path: Path, capsys: Any) -> None:
    assert main(["measure", str(tmp_path / "none.h5")]) == 2
    assert "no such file" in capsys.readouterr().err


# ------------------------------------------------------------------------------ the documentation


def test_the_page_names_every_reading_and_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "readings.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser(prog="bertscape", add_help=False)
    MEASURE.add_arguments(parser)
    options = re.findall(r"(?<!\S)--?[a-z][\w-]*", parser.format_help())
    assert "--json" in options
    functions = [name for name in readings.__all__ if inspect.isfunction(getattr(readings, name))]
    assert len(functions) > 8
    assert [name for name in functions + options if not re.search(rf"`{name}\b", page)] == []
