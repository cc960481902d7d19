"""What the scheduler is told: frozen values, sent by the coordinator or reported by the dispatcher.

Every identifier is a string, every tile a number on its job's grid. All of them pickle, so that
they cross the pipe between the two processes as they are. The coordinator gives each its
`stimulus_id` when it hears of it.

    from the coordinator   JobAdmitted, TilesAdded, JobCancelled, JobRefused, DispatcherLost
    from the dispatcher    CapacityChanged, WorkerReady, WorkerDied, JobPrepared, PrepareFailed,
                           TileDone, TileFailed, TileAdvanced, ArraysLost
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bertscape_service.scheduling.stimulus import Caused

__all__ = [
    "ArraysLost",
    "CapacityChanged",
    "DispatcherLost",
    "Event",
    "JobAdmitted",
    "JobCancelled",
    "JobPrepared",
    "JobRefused",
    "PrepareFailed",
    "TileAdvanced",
    "TileDone",
    "TileFailed",
    "TilesAdded",
    "WorkerDied",
    "WorkerReady",
]


@dataclass(frozen=True, slots=True)
class JobAdmitted(Caused):
    """A new job, or one restored after a restart.

    Attributes:
        job_id: The job; its place in the queue is the order of admission.
        tiles: The tiles still missing, in the order to run them, none twice.
        device: The device that an earlier preparing pinned, or None.
        attempts: Failed attempts already counted, by tile; a tile left out has none.
        prepare_attempts: Failed attempts at preparing since the last that succeeded.
    """

    job_id: str
    tiles: tuple[int, ...]
    device: str | None = None
    attempts: Mapping[int, int] = field(default_factory=dict)
    prepare_attempts: int = 0


@dataclass(frozen=True, slots=True)
class TilesAdded(Caused):
    """An unfinished job has more tiles, none of them known before: another round of its points.

    Where a worker's report brought that, this event comes before its TileDone, which would complete
    the job otherwise.
    """

    job_id: str
    tiles: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobCancelled(Caused):
    """Someone cancelled this job; tiles in flight may finish."""

    job_id: str


@dataclass(frozen=True, slots=True)
class JobRefused(Caused):
    """The coordinator found what fails a job at once, such as pins that differ from earlier ones.

    Where a worker's report brought the finding, this event comes before it: the JobPrepared or the
    TileFailed then only frees its worker, and no tile is started.
    """

    job_id: str
    error: str


@dataclass(frozen=True, slots=True)
class DispatcherLost(Caused):
    """Everything on Ray is gone: all workers, all prepared arrays. This counts as no attempt.

    The next dispatcher reports CapacityChanged; until then the capacity is zero.
    """


@dataclass(frozen=True, slots=True)
class CapacityChanged(Caused):
    """How many workers the cluster should have now, by its GPUs or CPUs and its memory."""

    workers: int


@dataclass(frozen=True, slots=True)
class WorkerReady(Caused):
    """A worker that was starting can take work.

    Attributes:
        worker_id: As StartWorker named it.
        device: The device's model; jobs pinned to another model never come to this worker.
    """

    worker_id: str
    device: str


@dataclass(frozen=True, slots=True)
class WorkerDied(Caused):
    """A worker ended without being told to.

    Attributes:
        worker_id: As StartWorker named it.
        reason: What is known of the cause.
        counts: True if its process alone died: an attempt at what it was running. False if
            its node or Ray died: no attempt.
    """

    worker_id: str
    reason: str
    counts: bool


@dataclass(frozen=True, slots=True)
class JobPrepared(Caused):
    """The job's arrays are on the cluster; `device` is the model of the worker that prepared it."""

    job_id: str
    worker_id: str
    device: str


@dataclass(frozen=True, slots=True)
class PrepareFailed(Caused):
    """Preparing raised.

    Attributes:
        job_id: The job.
        worker_id: The worker that prepared it.
        error: The last error, for people.
        final: True for bad input, which fails the job at once; else it is one attempt.
    """

    job_id: str
    worker_id: str
    error: str
    final: bool


@dataclass(frozen=True, slots=True)
class TileDone(Caused):
    """A tile's numbers are computed."""

    job_id: str
    tile: int
    worker_id: str


@dataclass(frozen=True, slots=True)
class TileFailed(Caused):
    """The evaluator raised on a tile: one attempt. The worker lives on."""

    job_id: str
    tile: int
    worker_id: str
    error: str


@dataclass(frozen=True, slots=True)
class TileAdvanced(Caused):
    """A fine-tuning has kept a checkpoint that no attempt will do again; it continues.

    What failed on the way there says nothing of what is left: the tile's attempts count from here.
    """

    job_id: str
    tile: int
    worker_id: str


@dataclass(frozen=True, slots=True)
class ArraysLost(Caused):
    """A worker could not load the job's arrays, because their node is gone: no attempt.

    It stands in for the report on the tile that this worker was given.
    """

    job_id: str
    worker_id: str


Event = (
    JobAdmitted
    | TilesAdded
    | JobCancelled
    | JobRefused
    | DispatcherLost
    | CapacityChanged
    | WorkerReady
    | WorkerDied
    | JobPrepared
    | PrepareFailed
    | TileDone
    | TileFailed
    | TileAdvanced
    | ArraysLost
)
