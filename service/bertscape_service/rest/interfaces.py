"""What the routes need of the service behind them, and nothing else of it."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from bertscape.values import JobEstimate, JobStatus
from bertscape_service.coordination import Published
from bertscape_service.ray_cluster import ClusterFound
from bertscape_service.scheduling import WorkerSnapshot


class Jobs(Protocol):
    """The jobs. What is wrong is raised as a `BertscapeError`."""

    async def submit(self, value: Any, idempotency_key: str | None = None) -> JobStatus:
        """Take on a job."""

    async def estimate(self, value: Any, stand_in: str | None = None) -> JobEstimate:
        """What a job would take."""

    async def cancel(self, job_id: str) -> JobStatus:
        """Stop a job."""

    async def show(self, job_id: str) -> JobStatus:
        """One job."""

    async def page(self, limit: int, after: str | None) -> tuple[list[JobStatus], str | None]:
        """Some jobs, and the `after` of the next page."""

    def follow(self, job_id: str, silence_s: float) -> AsyncGenerator[JobStatus | None, None]:
        """The job at each change until it has ended; None after so long without one."""


class Results(Protocol):
    """The result files."""

    async def lend(self, job_id: str) -> Published:
        """A job's file, which stays until it is given back."""

    def give_back(self, published: Published) -> None:
        """It is not read any more."""


class Journal(Protocol):
    """What must last."""

    def check(self) -> None:
        """Raise if the disk refuses."""


class Service(Protocol):
    """One service: its life, its workers, and the ways to the rest."""

    @property
    def jobs(self) -> Jobs:
        """The jobs."""

    @property
    def results(self) -> Results:
        """The result files."""

    @property
    def journal(self) -> Journal:
        """What must last."""

    @property
    def cluster(self) -> ClusterFound | None:
        """The cluster; None while Ray does not answer."""

    @property
    def is_ready(self) -> bool:
        """Whether jobs can run."""

    def workers(self) -> tuple[WorkerSnapshot, ...]:
        """Every worker."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End within seconds."""
