"""What the scheduler decides: frozen values that the dispatcher or the coordinator carries out.

    to the dispatcher    StartWorker, KillWorker, PrepareJob, RunTile, DropJob
    to the coordinator   MarkPreparing, MarkRunning, CompleteJob, FailJob

They stand in the order in which they are to be carried out. All of them pickle, and all of them
carry the `stimulus_id` of the event that brought them.
"""

from dataclasses import dataclass

from bertscape_service.scheduling.stimulus import Caused

__all__ = [
    "CompleteJob",
    "CoordinatorInstruction",
    "DispatcherInstruction",
    "DropJob",
    "FailJob",
    "Instruction",
    "KillWorker",
    "MarkPreparing",
    "MarkRunning",
    "PrepareJob",
    "RunTile",
    "StartWorker",
]


@dataclass(frozen=True, slots=True)
class StartWorker(Caused):
    """Start a worker of this new name after `delay_s` seconds; answered by WorkerReady."""

    worker_id: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class KillWorker(Caused):
    """End a worker that has nothing to do, or one still starting; no answer is awaited."""

    worker_id: str


@dataclass(frozen=True, slots=True)
class PrepareJob(Caused):
    """Prepare a job on a worker's device; `attempt` counts from 1.

    Answered by JobPrepared or PrepareFailed.
    """

    job_id: str
    worker_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RunTile(Caused):
    """Evaluate a tile of a prepared job; `attempt` counts from 1.

    Answered by TileDone, TileFailed or ArraysLost.
    """

    job_id: str
    tile: int
    worker_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class DropJob(Caused):
    """Forget a job's arrays. Its work in flight may finish or fail; both are fine."""

    job_id: str


@dataclass(frozen=True, slots=True)
class MarkPreparing(Caused):
    """The job is preparing: for the first time, or again because its arrays are gone."""

    job_id: str


@dataclass(frozen=True, slots=True)
class MarkRunning(Caused):
    """The job is prepared and its tiles run."""

    job_id: str


@dataclass(frozen=True, slots=True)
class CompleteJob(Caused):
    """Every tile of the job is done."""

    job_id: str


@dataclass(frozen=True, slots=True)
class FailJob(Caused):
    """The job has failed.

    Attributes:
        job_id: The job.
        tile: The tile that failed too often, or None if preparing failed.
        error: The last error.
        attempts: Attempts made at the tile or at preparing; 0 if none was (a refused job).
        input_error: True if the user's input is the cause.
    """

    job_id: str
    tile: int | None
    error: str
    attempts: int
    input_error: bool


DispatcherInstruction = StartWorker | KillWorker | PrepareJob | RunTile | DropJob
CoordinatorInstruction = MarkPreparing | MarkRunning | CompleteJob | FailJob
Instruction = DispatcherInstruction | CoordinatorInstruction
