"""What a worker does for each kind of job: prepare it, and do its points."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec, LandscapeSpec, RollbackSpec
from bertscape.values import Findings
from bertscape_workers.admission import MemoryLimits
from bertscape_workers.evaluation import (
    EvaluatorInputs,
    RollbackEvaluator,
    RollbackInputs,
    evaluator_for,
)
from bertscape_workers.jobs.prepare import Prepared, ProgressCall, prepare
from bertscape_workers.jobs.prepare_rollback import prepare_rollback

JobInputs = EvaluatorInputs | RollbackInputs
"""What the workers of a job map from the object store."""


class PointEvaluator(Protocol):
    """What turns a point of a job into its numbers."""

    def evaluate(self, first: float, second: float, /) -> NDArray[np.float64]:
        """The numbers at a point, by its two coordinates as `JobSpec.coordinates` has them."""


def prepare_job(
    spec: JobSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: ProgressCall | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared[Findings, JobInputs]:
    """Prepare a job of any kind; arguments and errors are those of `prepare`."""
    if isinstance(spec, LandscapeSpec):
        return prepare(spec, device=device, threads=threads, progress=progress, limits=limits)
    if isinstance(spec, RollbackSpec):
        return prepare_rollback(
            spec, device=device, threads=threads, progress=progress, limits=limits
        )
    raise TypeError(f"a job of kind {spec.kind!r}")


def evaluator_of(inputs: JobInputs, device: str | None = None) -> PointEvaluator:
    """What does the points of the job that these inputs were prepared for.

    Args:
        inputs: of the job.
        device: as torch names it; default: the GPU where there is one.
    """
    if isinstance(inputs, RollbackInputs):
        return RollbackEvaluator(inputs, device)
    return evaluator_for(inputs, device)
