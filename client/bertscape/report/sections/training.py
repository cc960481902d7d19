"""How the trainings went: their losses by step, and what training longer does."""

from collections.abc import Iterator, Mapping

import numpy as np

from bertscape.readings import overfitting
from bertscape.report.blocks import Block, Cell, Panel, Picture, Section, Table
from bertscape.report.figures import Series, line_panel
from bertscape.report.findings import longer_runs
from bertscape.report.number_text import number, with_error, with_interval
from bertscape.report.sections.landscape import map_key, map_panels
from bertscape.report.study_parts import gaps, of_task
from bertscape.report.words import slug, start_words
from bertscape.study.results import StudyResults, TrainingRun
from bertscape.training_output import LogEntry

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
    named = {start_words(start): run for start, run in runs.items()}
    caption = (
        f"Task {task}. Training loss as the optimizer met it, each point the mean since the one "
        "before; and loss and error on the evaluation split at the checkpoints that were kept, "
        "with 95 % intervals. × at the foot: not finite."
    )
    panels = (
        line_panel(
            "training-loss", f"{task}, training loss",
            [_series(name, run.output.log, "loss") for name, run in named.items()],
            ("optimizer step", "training loss (nat)"),
        ),
        *_evaluated(task, named, "step", "optimizer step"),
    )  # fmt: skip
    return Picture(
        f"optimization-{slug(task)}", caption, panels, "training loss curves of the optimization"
    )


def _evaluated(task: str, runs: Mapping[str, TrainingRun], x: str, label: str) -> Iterator[Panel]:
    for value, name in (
        ("eval_loss", "evaluation loss (nat)"),
        ("eval_error", "evaluation error (1 − accuracy)"),
    ):
        series = [_series(words, run.output.log, value, x) for words, run in runs.items()]
        title = f"{task}, {name.partition(' (')[0]}"
        yield line_panel(slug(value), title, series, (label, name), bars=True)


def _series(label: str, log: tuple[LogEntry, ...], value: str, x: str = "step") -> Series:
    entries = [entry for entry in log if getattr(entry, value) is not None]

    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        found = (getattr(entry, name, None) for entry in entries)
        return np.array([np.nan if v is None else v for v in found], dtype=np.float64)

    stderr = None if value == "loss" else column(f"{value}_stderr")
    return Series(label, column(x), column(value), stderr)


def _equal_steps(task: str, runs: Mapping[str, TrainingRun]) -> Iterator[Table]:
    """Training losses at the same steps, where there is more than one run."""
    series = {start_words(s): _series(s, run.output.log, "loss") for s, run in runs.items()}
    lines = {name: one for name, one in series.items() if np.isfinite(one.y).any()}
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
    caption = f"Training loss of {task} after equal steps, nat; logged losses joined by lines."
    yield Table(caption, ("After", *lines), tuple(rows))


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
    named = {
        start_words(start): run for start, run in of_task(results.runs, task, longer=True).items()
    }
    if not named:
        return
    caption = (
        f"Evaluation split along the trainings of {task}, at the checkpoints that were kept, with "
        "95 % intervals."
    )
    panels = tuple(_evaluated(task, named, "epoch", "epochs"))
    yield Picture(f"longer-evaluation-{slug(task)}", caption, panels)
    rows = []
    for epochs, run in longer_runs(results, task):
        rows.append(
            (
                f"{epochs:g}",
                with_error(100 * run.accuracy, 100 * run.eval_error_stderr),
                with_error(run.eval_loss, run.eval_loss_stderr),
                *_after_minimum(results, task, epochs),
            )
        )
    caption = (
        f"Trainings of {task} by their epochs: accuracy in % and evaluation loss in nat at the "
        "end, ± one standard error; and what both changed by, after the training loss was down to "
        "its minimum, along the trajectory (with θ1's head; 95 % intervals)."
    )
    head = ("Epochs", "Accuracy", "Evaluation loss", "Error after minimum (points)",
            "Loss after minimum (nat)")  # fmt: skip
    yield Table(caption, head, tuple(rows))


def _after_minimum(results: StudyResults, task: str, epochs: float) -> tuple[str | Cell, ...]:
    surface = results.surfaces.get((task, f"longer-{epochs:g}"))
    found = None if surface is None else overfitting(surface)
    if found is None:
        return (Cell("missing", "missing"), Cell("missing", "missing"))
    if found.last is None:
        return ("minimum is the end", "minimum is the end")
    return with_interval(found.last.eval_error, 100.0), with_interval(found.last.eval_loss)
