"""How the trainings went: their losses by step, and what training longer does."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bertscape.readings import Estimate, overfitting
from bertscape.report.findings import accuracy, longer_starts, middle_steps
from bertscape.report.parts import (
    BY_EYE,
    LONGER,
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
    look_of,
    number,
    of_task,
    slug,
    start_words,
    with_interval,
)
from bertscape.report.sections.landscape import map_key, map_panels
from bertscape.study import StudyResults, TrainingRun
from bertscape.values import LogEntry

_SHARES = (0.1, 0.25, 0.5, 1.0)  # of the steps that both runs have


def optimization_section(results: StudyResults) -> Section:
    """Losses over the steps of training."""
    blocks: list[Block] = []
    for task in results.spec.tasks:
        runs = of_task(results.runs, task)
        if runs:
            blocks += [_optimization(task, runs), *_equal_steps(task, runs)]
    return Section(
        "optimization",
        "Optimization",
        (*blocks, *gaps(results, "finetune/", longer=False)),
    )


def _optimization(task: str, runs: Mapping[str, TrainingRun]) -> Picture:
    caption = (
        f"Task {task}. Training loss as the optimizer met it, each point the mean of the steps "
        "since the one before, at their middle; and loss and error on the evaluation split at the "
        "checkpoints that were kept, with 95 % intervals. × at the foot: not finite."
    )
    panels = (
        line_panel(
            "training-loss", f"{task}, training loss",
            _series(runs, "loss"),
            ("optimizer step", "training loss (nat)"),
        ),
        *_evaluated(task, runs, "step", "optimizer step"),
    )  # fmt: skip
    return Picture(
        f"optimization-{slug(task)}", caption, panels, "training loss curves of the optimization"
    )


def _evaluated(task: str, runs: Mapping[str, TrainingRun], x: str, label: str) -> Iterator[Panel]:
    for value, name in (
        ("eval_loss", "evaluation loss (nat)"),
        ("eval_error", "evaluation error (1 − accuracy)"),
    ):
        series = _series(runs, value, x)
        title = f"{task}, {name.partition(' (')[0]}"
        yield line_panel(slug(value), title, series, (label, name), bars=True)


def _series(runs: Mapping[str, TrainingRun], value: str, x: str = "step") -> list[Series]:
    """A line for each run: by its start, or in order if all are of longer trainings."""
    longer = all(start.startswith(LONGER) for start in runs)
    return [
        _line(start, run.output.log, value, x, place if longer else look_of(start))
        for place, (start, run) in enumerate(runs.items())
    ]


def _line(start: str, log: tuple[LogEntry, ...], value: str, x: str, look: int) -> Series:
    entries = [entry for entry in log if getattr(entry, value) is not None]

    def column(name: str) -> NDArray[np.float64]:
        found = (getattr(entry, name, None) for entry in entries)
        return np.array([np.nan if v is None else v for v in found], dtype=np.float64)

    if value == "loss":
        return Series(start_words(start), middle_steps(column(x)), column(value), look=look)
    return Series(start_words(start), column(x), column(value), column(f"{value}_stderr"), look)


def _equal_steps(task: str, runs: Mapping[str, TrainingRun]) -> Iterator[Table]:
    """Training losses at the same steps, if there is more than one run."""
    lines = {one.label: one for one in _series(runs, "loss") if np.isfinite(one.y).any()}
    if len(lines) < 2:
        return
    last = min(float(one.x[-1]) for one in lines.values())
    steps = sorted({max(1, round(share * last)) for share in _SHARES})
    rows = []
    for step in steps:
        values = (
            np.interp(step, one.x[np.isfinite(one.y)], one.y[np.isfinite(one.y)])
            for one in lines.values()
        )
        rows.append((f"step {step:,}", *(number(float(value)) for value in values)))
    caption = (
        f"Training loss of {task} after equal steps, nat; logged losses, each at the middle of its "
        "steps, joined by lines."
    )
    yield Table(caption, ("After", *lines), tuple(rows), paper=BY_EYE)


# ------------------------------------------------------------------------------ longer training


def longer_section(results: StudyResults) -> Section:
    """Trainings of different lengths: their surfaces and trajectories, and the evaluation split."""
    blocks: list[Block] = []
    for task in results.spec.tasks_of("longer"):
        surfaces = {
            f"{task}, {start_words(start)}": one
            for start, one in of_task(results.surfaces, task, longer=True).items()
        }
        if surfaces:
            caption = (
                f"Training loss of {task} after trainings of different lengths, each with its own "
                f"δ1 and trajectory, on one colour scale. {map_key(surfaces, basin=True)}"
            )
            panels = tuple(map_panels(surfaces, "train_loss"))
            paper = "trajectories of trainings of different lengths (robustness to overfitting)"
            blocks.append(Picture(f"longer-{slug(task)}", caption, panels, paper))
        blocks += _along(results, task)
    return Section(
        "longer",
        "Longer training",
        (*blocks, *gaps(results, "finetune/", "surface/", longer=True)),
    )


def _along(results: StudyResults, task: str) -> Iterator[Block]:
    runs = of_task(results.runs, task, longer=True)
    if not runs:
        return
    caption = (
        f"Evaluation split along the trainings of {task}, at the checkpoints that were kept, with "
        "95 % intervals."
    )
    panels = tuple(_evaluated(task, runs, "epoch", "epochs"))
    yield Picture(f"longer-evaluation-{slug(task)}", caption, panels, NO_COUNTERPART)
    rows = []
    for epochs, start in longer_starts(results, task).items():
        run = results.runs[task, start]
        rows.append(
            (
                f"{epochs:g}",
                with_interval(accuracy(run), 100.0),
                with_interval(Estimate.of(run.eval_loss, run.eval_loss_stderr)),
                *_after_minimum(results, task, start),
            )
        )
    caption = (
        f"Trainings of {task} by their epochs: accuracy in % and evaluation loss in nat at the "
        "end; and what error and loss changed by, after the training loss was down to its minimum, "
        "along the trajectory (with θ1's head). With 95 % intervals."
    )
    head = ("Epochs", "Accuracy", "Evaluation loss", "Error after minimum (points)",
            "Loss after minimum (nat)")  # fmt: skip
    yield Table(caption, head, tuple(rows), paper=BY_EYE)


def _after_minimum(results: StudyResults, task: str, start: str) -> tuple[str | Cell, ...]:
    surface = results.surfaces.get((task, start))
    found = None if surface is None else overfitting(surface)
    if found is None:
        return (Cell("missing", "missing"), Cell("missing", "missing"))
    if found.last is None:
        return ("minimum is the end", "minimum is the end")
    return with_interval(found.last.eval_error, 100.0), with_interval(found.last.eval_loss)
