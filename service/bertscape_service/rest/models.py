"""What the routes answer with, besides the job object of `bertscape.values.JobStatus`."""

from pydantic import BaseModel

from bertscape.values import JobStatus


class JobsPage(BaseModel):
    """Some jobs, the newest first."""

    jobs: list[JobStatus]
    next: str | None  # the `after` of the page that follows; null on the last one


class WorkerStatus(BaseModel):
    """One worker."""

    id: str
    state: str  # starting | idle | busy
    device: str | None  # its model; null while it starts
    job: str | None  # that it works on
    tile: int | None  # that it evaluates; null while it prepares a job, or has nothing to do


class ClusterStatus(BaseModel):
    """The Ray cluster."""

    workers: int  # how many there should be
    memory_per_worker: int  # bytes
    object_store: int  # bytes of one node's object store
    threads: int  # per worker
    ray_version: str
    dashboard: str | None


class WorkersStatus(BaseModel):
    """The workers, and the cluster that they are on."""

    workers: list[WorkerStatus]
    cluster: ClusterStatus | None  # null while Ray does not answer


class Health(BaseModel):
    """A service that works."""

    process: int  # its id
    database: str
    version: str


class Readiness(BaseModel):
    """A service that can run jobs."""

    workers: int
