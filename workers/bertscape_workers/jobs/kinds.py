"""What a worker does for each kind of job: prepare it, and run its tiles.

A further kind has its own module, and an entry in `WORK`. Nobody else asks which kind a job is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import Pins, Progress, TrainingOutput
from bertscape_workers.admission import MemoryLimits
from bertscape_workers.evaluation import (
    EvaluatorInputs,
    PairedEvaluator,
    RollbackEvaluator,
    RoundInputs,
    evaluator_for,
)
from bertscape_workers.jobs.prepare import Prepared
from bertscape_workers.jobs.prepare_rollback import prepare_rollback
from bertscape_workers.jobs.prepare_rounds import prepare_landscape
from bertscape_workers.jobs.tiles import TileOrder, TileWatch


class PointEvaluator(Protocol):
    """What turns a point of a job into its numbers."""

    def evaluate(self, first: float, second: float, /) -> NDArray[np.float64]:
        """The numbers at a point, by its two coordinates as `JobSpec.coordinates` has them."""


class TileRunner(Protocol):
    """What runs the tiles of one prepared job."""

    def run(
        self, order: TileOrder, watch: TileWatch
    ) -> tuple[NDArray[np.float64], TrainingOutput | None]:
        """The numbers of a tile's points, (points, those of a point), and what it leaves behind."""


@dataclass(frozen=True, slots=True)
class PointByPoint:
    """Runs a tile by evaluating its points, one after the other."""

    evaluator: PointEvaluator

    def run(self, order: TileOrder, watch: TileWatch) -> tuple[NDArray[np.float64], None]:
        """As `TileRunner.run`; a tile leaves nothing behind."""
        rows = []
        for done, (first, second) in enumerate(order.coordinates):
            watch.point(done)
            rows.append(self.evaluator.evaluate(float(first), float(second)))
        return np.stack(rows), None


@dataclass(frozen=True, slots=True)
class Work:
    """How one kind of job is done.

    Attributes:
        prepare: of the spec and what `prepare_job` takes beside it.
        runner: of what preparing gave for the workers, and the device as torch names it.
    """

    prepare: Callable[..., Prepared[Pins, Any]]
    runner: Callable[[Any, str | None], TileRunner]


def _prepare_training(*arguments: Any, **settings: Any) -> Prepared[Pins, Any]:
    # Imported here: the Trainer takes seconds, and other kinds need none.
    from bertscape_workers.jobs.training_job import prepare_training

    return prepare_training(*arguments, **settings)


def _training_runner(inputs: Any, _: str | None) -> TileRunner:
    from bertscape_workers.jobs.training_job import TrainingRunner

    return TrainingRunner(inputs)


class RoundByRound:
    """Runs tiles point by point, with the evaluator of their round; holds one at a time."""

    def __init__(self, inputs: RoundInputs, device: str | None) -> None:
        self._inputs, self._device = inputs, device
        self._held: tuple[int, PointByPoint] | None = None

    def run(self, order: TileOrder, watch: TileWatch) -> tuple[NDArray[np.float64], None]:
        """As `TileRunner.run`; a tile leaves nothing behind."""
        if self._held is None or self._held[0] != order.round:
            self._held = None  # two of them may not fit
            evaluator = self._inputs.evaluator(order.round, self._device)
            self._held = order.round, PointByPoint(evaluator)
        return self._held[1].run(order, watch)


def _landscape_runner(inputs: EvaluatorInputs | RoundInputs, on: str | None) -> TileRunner:
    if isinstance(inputs, RoundInputs):
        return RoundByRound(inputs, on)
    evaluator = evaluator_for(inputs, on)
    if inputs.finetuned is None:
        return PointByPoint(evaluator)
    return PointByPoint(PairedEvaluator(evaluator, inputs.finetuned))


_LANDSCAPE = Work(prepare_landscape, _landscape_runner)

WORK: dict[str, Work] = {
    "surface": _LANDSCAPE,
    "curve": _LANDSCAPE,
    "rollback": Work(
        prepare_rollback, lambda inputs, on: PointByPoint(RollbackEvaluator(inputs, on))
    ),
    "finetune": Work(_prepare_training, _training_runner),
}


def prepare_job(
    spec: JobSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared[Pins, Any]:
    """Prepare a job of any kind; arguments and errors are those of `prepare`."""
    made = WORK[spec.kind].prepare
    return made(spec, device=device, threads=threads, progress=progress, limits=limits)


def runner_of(kind: str, inputs: Any, device: str | None = None) -> TileRunner:
    """What runs the tiles of the job that these inputs were prepared for.

    Args:
        kind: of the job.
        inputs: what preparing gave for the workers.
        device: as torch names it; default: the GPU if there is one.
    """
    return WORK[kind].runner(inputs, device)
