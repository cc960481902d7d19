"""Curves and surfaces: the training loss, and the generalization error, pre-trained or not."""

from collections.abc import Iterator

from bertscape.figures import scale_of
from bertscape.readings import consistency
from bertscape.readings.parts import is_random
from bertscape.readings.shown import drawn_places
from bertscape.report.parts import (
    BY_EYE,
    Block,
    Cell,
    Panel,
    Picture,
    Section,
    Table,
    curve_panel,
    gaps,
    map_panel,
    number,
    of_task,
    slug,
    start_words,
    with_interval,
)
from bertscape.results import Surface
from bertscape.study import StudyResults

_MARKS = {"pretrained": "circle θ0", "finetuned": "star θ1", "toward": "square θ2"}


def map_key(surfaces: dict[str, Surface], *, basin: bool) -> str:
    """What the marks in these maps mean."""
    are_papers = [
        drawn_places(one, one.trajectory)[1]
        for one in surfaces.values()
        if one.trajectory is not None
    ]
    there = {check.checkpoint for one in surfaces.values() for check in one.self_checks}
    marks = ", ".join(mark for name, mark in _MARKS.items() if name in there)
    projections = {True: "the paper's projection", False: "least squares"}
    drawn = " or ".join(projections[is_papers] for is_papers in dict.fromkeys(are_papers))
    sentences = (
        f"White line: the trajectory of the checkpoints ({drawn})." if drawn else "",
        f"{marks[:1].upper()}{marks[1:]}." if marks else "",
        "Dashed black: edge of the basin, half of chance, ½ ln K nat for K classes." * basin,
        "Hatched: not evaluated; red ×: evaluated, but not a finite number.",
        _axes(surfaces),
    )
    return " ".join(filter(None, sentences))


def _axes(surfaces: dict[str, Surface]) -> str:
    if any(not one.spec.layers.is_all for one in surfaces.values()):
        return "α in ‖δ1ᴳ‖ and β in ‖δ2ᴳ‖ of each group."
    if any(map(is_random, surfaces.values())):
        return "α in ‖δ1‖ of each panel’s own run, β in the length of its random direction."
    return "Axes in ‖δ1‖ of each panel’s own run."


def map_panels(surfaces: dict[str, Surface], value: str) -> Iterator[Panel]:
    """A panel for each surface, by the words of its title, on one colour scale."""
    scale = scale_of(value, list(surfaces.values()))
    for title, surface in surfaces.items():
        yield map_panel(slug(title), title, surface, value, scale)


def curves_section(results: StudyResults) -> Section:
    """Training loss along δ1."""
    panels = []
    for task in results.spec.tasks:
        curves = of_task(results.curves, task)
        if curves:
            panels.append(curve_panel(slug(task), task, curves, "train_loss"))
    caption = (
        "Training loss J(θ0 + αδ1) along each run's own direction: α = 0 is where its training "
        "began, α = 1 where it ended. Bands: 95 % intervals; a × at the foot marks a value that "
        "is not finite."
    )
    pictures = (
        (Picture("loss-curves", caption, tuple(panels), "one-dimensional training loss curves"),)
        if panels
        else ()
    )
    return Section(
        "curves",
        "Training loss along δ1",
        (*pictures, *gaps(results, "curve/")),
    )


def training_loss_section(results: StudyResults) -> Section:
    """Training loss surfaces, one picture a task."""
    return Section(
        "training-loss",
        "Training loss surfaces",
        (
            *_pictures(results, "train_loss", "training-loss", "two-dimensional training loss "
                       "surfaces and optimization trajectories"),
            *gaps(results, "surface/", longer=False),
        ),
    )  # fmt: skip


def generalization_section(results: StudyResults) -> Section:
    """Generalization error surfaces, and how they agree with the training loss."""
    return Section(
        "generalization",
        "Generalization error surfaces",
        (
            *_pictures(results, "eval_error", "generalization", "generalization error surfaces, "
                       "and their consistency with the training loss surfaces"),
            *_agreement(results),
            *gaps(results, "surface/", longer=False),
        ),
    )  # fmt: skip


_WHAT = {
    "train_loss": "Mean cross-entropy on the training split",
    "eval_error": "1 − accuracy on the evaluation split",
}


def _pictures(results: StudyResults, value: str, name: str, paper: str) -> Iterator[Picture]:
    for task in results.spec.tasks:
        surfaces = {
            f"{task}, {start_words(start)}": one
            for start, one in of_task(results.surfaces, task).items()
        }
        if surfaces:
            key = map_key(surfaces, basin=value == "train_loss")
            shared = "; both panels on one colour scale" if len(surfaces) > 1 else ""
            caption = f"{_WHAT[value]}, task {task}, over the plane of δ1 and δ2{shared}. {key}"
            panels = tuple(map_panels(surfaces, value))
            yield Picture(f"{name}-{slug(task)}", caption, panels, paper)


def _agreement(results: StudyResults) -> Iterator[Block]:
    rows: list[tuple[str | Cell, ...]] = []
    for task in results.spec.tasks:
        for start, surface in of_task(results.surfaces, task).items():
            found = consistency(surface)
            rows.append(
                (
                    f"{task}, {start_words(start)}",
                    with_interval(found.rank_correlation),
                    with_interval(found.overlap),
                    number(found.chance),
                    f"{found.points:,}",
                )
            )
    if rows:
        caption = (
            "How far the generalization error and the training loss tell the same story over the "
            "grid: Spearman's rank correlation, and how much the lowest tenths of the points "
            "overlap (intersection over union), with 95 % intervals and the overlap by chance."
        )
        head = ("Surface", "Rank correlation", "Overlap", "By chance", "Points")
        yield Table(caption, head, tuple(rows), paper=BY_EYE)
