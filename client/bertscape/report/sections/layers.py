"""Layer groups: each moved alone, and each put back."""

from collections.abc import Iterator

from bertscape.figures import group_words
from bertscape.readings import at_least, circle_rises, optimum_area, size_of
from bertscape.report.parts import (
    BY_EYE,
    Block,
    Cell,
    Picture,
    Section,
    Table,
    gaps,
    groups_of,
    mean_rise,
    number,
    rollback_panel,
    slug,
    with_error,
    with_interval,
)
from bertscape.report.sections.landscape import map_key, map_panels
from bertscape.results import Rollback
from bertscape.study import StudyResults


def layers_section(results: StudyResults) -> Section:
    """Surfaces on which one layer group moves, and their readings."""
    blocks: list[Block] = []
    for task in results.spec.tasks_of("layers"):
        groups = {
            f"{task}, {name} ({group_words(one)})": one
            for name, one in groups_of(results, task).items()
        }
        if groups:
            caption = (
                f"Training loss of {task} where one layer group alone moves, from θ1 = (0, 0): "
                "α = −1 puts the group back to θ0. All panels on one colour scale. "
                f"{map_key(groups, basin=True)}"
            )
            panels = tuple(map_panels(groups, "train_loss"))
            name = f"layers-{slug(task)}"
            blocks.append(Picture(name, caption, panels, "loss surfaces of layer groups"))
            blocks.append(_readings(results, task))
    return Section("layers", "Layer groups", (*blocks, *gaps(results, "layers/")))


def _readings(results: StudyResults, task: str) -> Table:
    rows = []
    for name, surface in groups_of(results, task).items():
        width, group = optimum_area(surface), surface.findings.group
        share = group.x_norm / surface.findings.delta1_norm if group else 1.0
        area = "not on the grid"
        if width is not None:
            area = with_interval(size_of(width), at_least=at_least(width))
        rises = (mean_rise(circle) for circle in circle_rises(surface))
        rows.append((name, number(share), area, *rises))
    caption = (
        f"The optimum of {task} in each layer group, with 95 % intervals: ‖δ1ᴳ‖/‖δ1‖, how much of "
        "what fine-tuning moved lies in the group; the area below J(θ1) + 0.5 nat in ‖δ1ᴳ‖² (≥: it "
        "reaches the grid's border); the mean rise of the training loss in nat at 0.25, 0.5 "
        "and 1 ‖δ1ᴳ‖. Areas and circles are in ‖δ1ᴳ‖ along β too, where the picture's axis is in "
        "‖δ2ᴳ‖."
    )
    head = ("Group", "Share of δ1", "Area", "Rise at 0.25", "Rise at 0.5", "Rise at 1")
    width_of = len(head)
    filled = tuple((*row, *[""] * (width_of - len(row))) for row in rows)
    return Table(caption, head, filled, paper=BY_EYE)


def rollback_section(results: StudyResults) -> Section:
    """What putting each group back to θ0 costs."""
    blocks: list[Block] = []
    for task in results.spec.tasks_of("rollback"):
        if task in results.rollbacks:
            blocks += _rollback(task, results.rollbacks[task])
    return Section("rollback", "Rollback", (*blocks, *gaps(results, "rollback/")))


def _rollback(task: str, found: Rollback) -> Iterator[Block]:
    panels = (
        rollback_panel("accuracy", f"{task}, accuracy", found, "error_change"),
        rollback_panel("loss", f"{task}, loss", found, "loss_change"),
    )
    caption = (
        f"What changes for {task} against θ1 where one layer group is put back to θ0 and all else "
        "stays as fine-tuning left it; 95 % intervals of the paired differences. × at the left: "
        "not known."
    )
    yield Picture(f"rollback-{slug(task)}", caption, panels, "rollback of layer groups")
    yield _table(task, found)


def _table(task: str, found: Rollback) -> Table:
    rows: list[tuple[str | Cell, ...]] = []
    for index, group in enumerate(found.groups):
        if not found.evaluated[index]:
            rows.append((group, *[Cell("not evaluated", "missing")] * 5))
            continue

        def cell(name: str, scale: float = 1.0, at: int = index) -> str:
            return with_error(float(found[name][at]), float(found[f"{name}_stderr"][at]), scale)

        accuracy = with_error(
            float(found.accuracy[index]), float(found["eval_error_stderr"][index]), 100.0
        )
        if index == 0:
            rows.append(("none: θ1", "0", accuracy, "", "", ""))
            continue
        rows.append(
            (
                group,
                number(float(found.distance[index])),
                accuracy,
                with_error(
                    float(found.accuracy_change[index]),
                    float(found["eval_error_change_stderr"][index]),
                    100.0,
                ),
                cell("eval_loss_change"),
                cell("train_loss_change"),
            )
        )
    caption = (
        f"Rollback of {task}: how far the group is put back, ‖δ1ᴳ‖/‖δ1‖; accuracy in %; its change "
        "in percentage points, and that of the losses in nat; ± one standard error, of changes "
        "that of the paired differences on the same examples."
    )
    head = ("Put back", "Distance", "Accuracy", "Change", "Evaluation loss", "Training loss")
    return Table(caption, head, tuple(rows), paper="the table of rollback of layer groups")
