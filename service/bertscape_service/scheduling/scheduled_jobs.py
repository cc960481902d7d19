"""What the scheduler keeps of a job, and jobs in the order of their age."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Job", "JobState", "JobsByAge"]

_HISTORY = 32


class JobState(StrEnum):
    """The state of a job, as the table in `bertscape_service.scheduling.scheduler` defines it."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Job:
    """A job and what is left of it.

    Attributes:
        age: Its place in the order of admission; no two jobs share one.
        job_id: Its name; a job that has ended leaves it to a successor.
        device: The device that it is pinned to, from its first preparing on.
        pending: The tiles that wait, in the order to run them. A tile stands here, or in
            `in_flight`, or is done; once the job has ended, this is empty.
        attempts: Failed attempts by tile since it last advanced, for tiles that have any.
        prepare_attempts: Failed attempts at preparing since it last succeeded.
        state: See the scheduler's table.
        in_flight: Worker by tile. It outlives the job's end, until the last report.
        prepared_by: The worker that prepares it now, or None.
        preparings: How often preparing succeeded: tells its old arrays from its new ones.
        on_cluster: Whether the present dispatcher may hold arrays of it.
        history: What happened to it as a whole, and to tiles that failed; the last few lines.
    """

    age: int
    job_id: str
    device: str | None
    pending: deque[int]
    attempts: dict[int, int]
    prepare_attempts: int
    state: JobState = JobState.QUEUED
    in_flight: dict[int, str] = field(default_factory=dict)
    prepared_by: str | None = None
    preparings: int = 0
    on_cluster: bool = False
    history: deque[str] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    @property
    def wants_preparing(self) -> bool:
        """Whether its arrays are wanted and nobody makes them."""
        return self.prepared_by is None and self.state in (JobState.QUEUED, JobState.PREPARING)

    @property
    def wants_workers(self) -> bool:
        """Whether a tile can be run now."""
        return self.state is JobState.RUNNING and bool(self.pending)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to be done for it."""
        return self.state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)

    def land(self, tile: int) -> None:
        """Take a tile out of those in flight."""
        del self.in_flight[tile]
        if not self.in_flight:
            self.in_flight.clear()  # an emptied dict keeps its table, and ended jobs are kept


class JobsByAge:
    """Jobs, oldest first."""

    def __init__(self) -> None:
        self._ages: list[int] = []
        self._jobs: dict[int, Job] = {}

    def keep(self, job: Job, wanted: bool) -> None:
        """Have the job here if it is wanted, else not."""
        if wanted == (job.age in self._jobs):
            return
        if wanted:
            insort(self._ages, job.age)
            self._jobs[job.age] = job
        else:
            del self._ages[bisect_left(self._ages, job.age)]
            del self._jobs[job.age]

    def __contains__(self, job: Job) -> bool:
        return job.age in self._jobs

    def __len__(self) -> int:
        return len(self._ages)

    def oldest(self) -> Job | None:
        """The job admitted first, or None."""
        return self._jobs[self._ages[0]] if self._ages else None
