"""Widths and flatness of the optima, as numbers; and how far the pictures can be believed."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bertscape.readings import (
    Readings,
    Shown,
    ShownCheckpoint,
    at_least,
    basin_width,
    landscape_rows,
    measure,
    radius_in_space,
    shown_checkpoints,
)
from bertscape.readings.parts import NORMAL_95, is_random, units_of
from bertscape.readings.width import DEFAULT_THRESHOLD
from bertscape.report.parts import (
    BY_EYE,
    NO_COUNTERPART,
    Block,
    Cell,
    Panel,
    Picture,
    Section,
    Series,
    Table,
    gaps,
    line_panel,
    number,
    of_task,
    slug,
    start_words,
    with_error,
    with_interval,
)
from bertscape.results import Surface
from bertscape.study import StudyResults

_MOST_ROWS = 24  # of one trajectory's table
_ON_THE_PLANE = 1e-6  # ‖δ1‖: what is nearer is off by no more than float32 is


def widths_section(results: StudyResults) -> Section:
    """The readings of all surfaces of a task side by side."""
    blocks: list[Block] = []
    for task in results.spec.tasks:
        surfaces = of_task(results.surfaces, task) | of_task(results.surfaces, task, longer=True)
        if surfaces:
            blocks.append(_widths(task, surfaces))
    return Section("widths", "Width and flatness", (*blocks, *gaps(results, "surface/")))


def _widths(task: str, surfaces: dict[str, Surface]) -> Table:
    columns = [dict(_readings(surface)) for surface in surfaces.values()]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = tuple((name, *(column.get(name, "") for column in columns)) for name in names)
    if any(map(is_random, surfaces.values())):
        units = (
            "Lengths along α are in ‖δ1‖ of each run itself; β is in ‖δ2‖, the length of a random "
            "direction, which is another: circles are those of the picture, and no size is known "
            "in parameter space."
        )
    else:
        units = (
            "Lengths are in ‖δ1‖ of each run itself; the last rows give them in parameter space."
        )
    caption = (
        f"Readings of {task} off the surfaces, with 95 % intervals. {units} ≥: the region reaches "
        "the grid's border or points that were not evaluated."
    )
    head = ("Reading", *(start_words(start) for start in surfaces))
    return Table(caption, head, rows, paper=BY_EYE)


def _readings(surface: Surface) -> Iterator[tuple[str, str | Cell]]:
    found = measure(surface)
    if found.end_point is None:
        yield "training loss of θ1 (nat)", Cell("θ1 is not on the grid", "missing")
    for row in landscape_rows(found, units_of(surface), radii=False):
        part = "" if row.known in (0, 1) else f", {100 * row.known:.0f} % known"
        yield row.label, with_interval(row.value, at_least=row.at_least) + part
    yield "length along α below half of chance (‖δ1‖)", str(basin_width(surface))
    yield from _in_parameter_space(surface, found)


def _in_parameter_space(surface: Surface, found: Readings) -> Iterator[tuple[str, str]]:
    norm = surface.findings.delta1_norm
    yield "‖δ1‖", number(norm)
    for area in found.areas:
        radius = radius_in_space(surface, area)
        if area.threshold == DEFAULT_THRESHOLD and radius is not None:
            name = f"radius below J(θ1) + {area.threshold:g} nat, in parameter space"
            yield name, with_interval(radius, at_least=at_least(area))


# ------------------------------------------------------------------------------ true and shown


def shown_section(results: StudyResults) -> Section:
    """Each checkpoint's true loss beside the surface's where the checkpoint is drawn."""
    blocks: list[Block] = []
    for task in results.spec.tasks:
        surfaces = of_task(results.surfaces, task) | of_task(results.surfaces, task, longer=True)
        found = {start: shown_checkpoints(surface) for start, surface in surfaces.items()}
        found = {start: checkpoints for start, checkpoints in found.items() if checkpoints}
        if found:
            panels = tuple(_panel(task, start, checkpoints) for start, checkpoints in found.items())
            caption = (
                f"Training loss of the checkpoints of {task}: true (each backbone with θ1's head, "
                "with 95 % intervals), and what the surface shows where the checkpoint is drawn."
            )
            blocks.append(Picture(f"shown-{slug(task)}", caption, panels, NO_COUNTERPART))
            blocks += [_table(task, start, checkpoints) for start, checkpoints in found.items()]
    return Section(
        "shown", "How far to believe the trajectories", (*blocks, *gaps(results, "surface/"))
    )


def _panel(task: str, start: str, found: Sequence[ShownCheckpoint]) -> Panel:
    steps = np.array([one.step for one in found], dtype=np.float64)
    true = np.array([one.true.value for one in found])
    stderr = np.array([one.true.stderr for one in found])
    nearest = np.array([one.least_squares.value for one in found])
    paper = np.array([one.paper.value for one in found])
    series = [
        Series("true", steps, true, stderr),
        Series("shown, nearest place", steps, nearest, look=1),
    ]
    if any(map(_is_defined, (one.paper for one in found))):
        series.append(Series("shown, paper's projection", steps, paper, look=2))
    title = f"{task}, {start_words(start)}"
    return line_panel(
        slug(start), title, series, ("optimizer step", "training loss (nat)"), bars=True
    )


def _table(task: str, start: str, found: Sequence[ShownCheckpoint]) -> Table:
    places = sorted({round(place) for place in np.linspace(0, len(found) - 1, _MOST_ROWS)})
    rows = tuple(_row(found[place]) for place in places)
    left_out = len(found) - len(rows)
    more = f" {left_out} further checkpoints are in the JSON." if left_out else ""
    caption = (
        f"{task}, {start_words(start)}: training loss in nat, true ± one standard error, and as "
        "the surface shows it at the checkpoint's nearest place and at the paper's projection; "
        "red where they differ by more than 1.96 standard errors. Distance from the plane in "
        f"‖δ1‖.{more}"
    )
    head = ("Step", "True", "Nearest place", "Paper's projection", "Off the plane")
    return Table(caption, head, rows, paper=NO_COUNTERPART)


def _is_defined(shown: Shown) -> bool:
    """Whether the projection is: some checkpoints have none of the paper's."""
    return math.isfinite(shown.alpha + shown.beta)


def _row(one: ShownCheckpoint) -> tuple[str | Cell, ...]:
    def cell(place: Shown) -> str | Cell:
        if math.isnan(place.value):
            defined = _is_defined(place)
            return Cell("not on the grid" if defined else "not defined", "missing")
        differs = abs(place.value - one.true.value) > NORMAL_95 * one.true.stderr + 1e-6
        return Cell(number(place.value), "warning" if differs else "")

    true = with_error(one.true.value, one.true.stderr)
    shown = cell(one.least_squares), cell(one.paper)
    near = one.residual < _ON_THE_PLANE
    return f"{one.step:,}", true, *shown, "on it" if near else number(one.residual, 2)
