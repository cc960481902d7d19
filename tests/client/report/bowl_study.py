"""A study whose every number is known from a formula."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bertscape.results import Rollback, Surface
from bertscape.spec import ROLLBACK_NUMBERS, RollbackSpec, parse_study
from bertscape.study import StudyResults, TrainingRun
from bertscape.values import (
    THIRDS,
    GroupFound,
    KeptCheckpoint,
    LogEntry,
    SelfCheck,
    TrainingOutput,
    TrajectoryFound,
)

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]

DATA = {
    "train": {"path": "/data/train.tsv"},
    "eval": {"path": "/data/dev.tsv"},
    "text": ["sentence"],
}
WIDE, NARROW = 0.25, 2.0  # steepness of the bowls, nat/‖δ1‖²


def study_values(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "study",
        "name": "bowls",
        "pretrained": "/models/tiny",
        "tasks": {"mrpc": {"data": DATA}, "rte": {"data": DATA}},
        "curve": [-2, 4, 31],
        "surface": {"x": [-2, 4, 25], "y": [-3, 3, 25]},
        **changes,
    }


def bowl(steepness: float, low: float = 0.02) -> Formula:
    return lambda a, b: low + steepness * ((a - 1) ** 2 + 1.3 * b**2)


def error_of(loss: Formula) -> Formula:
    """A generalization error that grows with the training loss, up to a half."""
    return lambda a, b: 0.12 + 0.38 * (1 - np.exp(-loss(a, b)))


def a_surface(make_surface: Any, loss: Formula, stderr: float = 0.01, **changes: Any) -> Surface:
    """With the trajectory of a study's run, or a curve or a layer-group surface."""
    kind = changes.pop("kind", "surface")
    grid = {"x": [-2, 4, 25], "y": [-3, 3, 25]} if kind == "surface" else {"x": [-2, 4, 31]}
    trajectory = changes.pop("trajectory", kind == "surface")
    surface = make_surface(kind, **{"loss": loss, "grid": grid, "trajectory": False, **changes})
    points = surface.spec.points
    alpha, beta = points.coordinates(range(points.size)).T
    numbers = surface.numbers.copy()
    numbers[3] = error_of(loss)(alpha, beta).reshape(points.shape)
    numbers[4:] = stderr
    numbers[:, surface.evaluated == 0] = np.nan
    moved = surface.spec.origin == "finetuned"
    checks = [_check("finetuned", 0.0 if moved else 1.0, loss, stderr, moved)]
    if not moved:
        checks.insert(0, _check("pretrained", 0.0, loss, stderr, moved))
    found = surface.findings.model_copy(
        update={
            "self_checks": tuple(checks),
            "trajectory": _trajectory(loss, stderr) if trajectory else None,
        }
    )
    return dataclasses.replace(surface, numbers=numbers, findings=found)


def _check(name: str, alpha: float, loss: Formula, stderr: float, moved: bool) -> SelfCheck:
    value = float(loss(np.array([alpha]), np.array([0.0]))[0])
    numbers = (value, 0.0, value + 0.1, 0.2, stderr, stderr, stderr, stderr)
    return SelfCheck(
        checkpoint=name, alpha=alpha, beta=0.0, expected=numbers, found=numbers, passed=True
    )


def _trajectory(loss: Formula, stderr: float) -> TrajectoryFound:
    alpha = np.array([0.0, 0.35, 0.6, 0.85, 1.0])
    beta = np.array([0.0, 0.3, 0.32, 0.2, 0.0])
    true = loss(alpha, 1.2 * beta)
    return TrajectoryFound(
        step=(0, 25, 50, 75, 100),
        alpha=tuple(alpha),
        beta=tuple(beta),
        alpha_lsq=tuple(alpha),
        beta_lsq=tuple(0.3 * beta),
        residual=tuple(0.9 * beta),
        numbers=tuple(
            (float(v), 0.0, float(v) + 0.1, 0.2, stderr, stderr, stderr, stderr) for v in true
        ),
    )


def a_run(
    fall: float = 10.0,
    error: float = 0.15,
    stderr: float = 0.01,
    epochs: int = 3,
    noise: float = 0.01,
    loss: float = 0.4,
) -> TrainingRun:
    """The training loss is ln 2·exp(−step/fall) and some noise that alternates."""
    last = 33 * epochs
    log = [LogEntry(0, 0.0, None, None, 0.7, 0.5, 0.02, 0.03)]
    for step in range(3, last + 1, 3):
        entry = math.log(2) * math.exp(-step / fall) + noise * (2 + (-1) ** step)
        log.append(LogEntry(step, step / 33, entry, 1e-5))
    for epoch in range(1, epochs + 1):
        share = math.exp(-epoch)
        log.append(
            LogEntry(33 * epoch, epoch, None, None, loss + share, error + share / 3, 0.02, stderr)
        )
    log[-1] = dataclasses.replace(log[-1], eval_loss=loss, eval_error=error)
    output = TrainingOutput(
        folder="/runs/x",
        checkpoints=(KeptCheckpoint(0, "/runs/x/checkpoint-0"),),
        labels=("no", "yes"),
        log=tuple(sorted(log, key=lambda entry: entry.step)),
    )
    return TrainingRun(output, loss, error, 0.02, stderr)


def a_rollback(
    surface: Surface,
    rises: tuple[float, ...] = (0.005, 0.04, 0.2),
    stderr: float = 0.01,
    groups: tuple[Any, ...] = THIRDS,
) -> Rollback:
    """θ1 has an evaluation error of 0.15; each group put back adds its rise."""
    spec = RollbackSpec.model_validate(
        {
            "kind": "rollback",
            "model": surface.spec.model,
            "data": surface.spec.data,
            "groups": list(groups),
        }
    )
    numbers = np.zeros((len(ROLLBACK_NUMBERS), 1 + len(rises)))
    put = {
        "train_loss": 0.02, "eval_loss": 0.4, "eval_error": 0.15, "eval_error_stderr": 0.02,
        "eval_loss_stderr": 0.03, "train_loss_stderr": 0.004,
    }  # fmt: skip
    for name, value in put.items():
        numbers[ROLLBACK_NUMBERS.index(name)] = value
    for index, rise in enumerate(rises, 1):
        for name, value in {"eval_error": rise, "eval_error_change": rise,
                            "eval_loss": 3 * rise, "eval_loss_change": 3 * rise,
                            "train_loss_change": 4 * rise}.items():  # fmt: skip
            numbers[ROLLBACK_NUMBERS.index(name), index] += value
            numbers[ROLLBACK_NUMBERS.index(f"{name}_stderr"), index] += stderr
    found = tuple(GroupFound(layers=None, x_norm=2.0 + i, y_norm=None) for i in range(len(rises)))
    return Rollback(
        spec=spec,
        findings=surface.findings.model_copy(update={"groups": found, "trajectory": None}),
        numbers=numbers,
        evaluated=np.ones(1 + len(rises), dtype=np.uint8),
        run=surface.run,
    )


def build(make_surface: Any, tasks: tuple[str, ...] = ("mrpc", "rte"), **spec: Any) -> StudyResults:
    """A whole study in which every finding of the paper holds."""
    wide, narrow = bowl(WIDE), bowl(NARROW, 0.1)
    study = parse_study(study_values(tasks={task: {"data": DATA} for task in tasks}, **spec))
    runs, curves, surfaces, layers, rollbacks = {}, {}, {}, {}, {}
    for task in tasks:
        runs[task, "pretrained"], runs[task, "scratch"] = a_run(), a_run(40, 0.3, loss=0.7)
        for start, loss in (("pretrained", wide), ("scratch", narrow)):
            curves[task, start] = a_surface(make_surface, loss, kind="curve")
            surfaces[task, start] = a_surface(make_surface, loss)
        for third, steepness in zip(THIRDS, (0.1, 0.3, 0.9), strict=True):
            layers[task, third] = a_layer_surface(make_surface, third, steepness)
        rollbacks[task] = a_rollback(surfaces[task, "pretrained"])
    for epochs in study.longer.epochs:
        run = a_run(epochs=epochs, stderr=0.005, error=0.15, loss=0.3 + epochs / 50)
        runs[tasks[0], f"longer-{epochs}"] = run
        surfaces[tasks[0], f"longer-{epochs}"] = a_surface(make_surface, wide)
    return StudyResults(study, runs, curves, surfaces, layers, rollbacks)


def a_layer_surface(make_surface: Any, group: Any, steepness: float, **changes: Any) -> Surface:
    loss = bowl(steepness)
    return a_surface(
        make_surface, lambda a, b: loss(a + 1, b), layers=group, trajectory=False, **changes
    )
