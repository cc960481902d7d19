"""One job of a service, as the client holds it."""

import io
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bertscape.http.connection import Connection, EventsNotOffered
from bertscape.http.progress import JobProgress
from bertscape.http.retries import RETRIED_STATUS
from bertscape.results import Result, Surface, read_result, read_surface, warn_of_failures
from bertscape.values import (
    COMPLETED,
    InvalidInput,
    JobFailed,
    JobStatus,
    Problem,
    ProblemType,
    ServiceError,
    ServiceUnreachable,
    TrainingOutput,
    publishing,
)

_SILENCE = 60.0  # seconds; the service sends a comment more often than that
POLL_S = (1.0, 5.0)  # seconds between two looks at a job: at first, and later
_OUTAGE = 300.0  # seconds that a followed service may be away, for a restart


class Job:
    """A job: what it was when last seen, and what can be done with it."""

    def __init__(self, connection: Connection, status: JobStatus) -> None:
        self._connection = connection
        self.status = status

    def __repr__(self) -> str:
        status = self.status
        done = f"{status.points_done}/{status.points_total} points"
        return f"<Job {status.id} {status.state} {done}>"

    @property
    def id(self) -> str:
        """Its id."""
        return self.status.id

    @property
    def name(self) -> str | None:
        """The name that its spec gives it."""
        return self.status.name

    @property
    def state(self) -> str:
        """Its state when last seen: queued, preparing, running, completed, failed, cancelled."""
        return self.status.state

    @property
    def completed(self) -> bool:
        """Whether it had ended well when last seen."""
        return self.status.state == COMPLETED

    @property
    def error(self) -> Problem | None:
        """Why it failed."""
        return self.status.error

    @property
    def output(self) -> TrainingOutput | None:
        """What a fine-tuning left behind, once it is completed; None of other kinds."""
        return self.status.output

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec, as plain values."""
        return self.status.spec

    def refresh(self) -> "Job":
        """Look again, and return this same job."""
        self._see(self._connection.call("GET", self._path))
        return self

    def cancel(self) -> "Job":
        """Stop it within the tile in flight; what is done stays downloadable.

        Raises:
            ServiceError: `job-not-active`, where it has already ended otherwise.
        """
        try:
            self._see(self._connection.call("POST", f"{self._path}:cancel"))
        except ServiceError as error:
            # The first answer may have been lost: cancelled already is what was asked for.
            if error.problem.type is not ProblemType.JOB_NOT_ACTIVE:
                raise
            if self.refresh().state != "cancelled":
                raise
        return self

    def surface(self) -> Surface:
        """The surface in memory; while the job runs, a snapshot with holes.

        Raises:
            ServiceError: `surface-not-ready`, before the first tile.
            SurfaceFileError: the job is a rollback: see `result`.
        """
        surface = read_surface(self._content())
        warn_of_failures(check.to_json() for check in surface.self_checks)
        return surface

    def result(self) -> Result:
        """The `Surface` or the `Rollback` in memory, by the job's kind; as `surface`.

        Raises:
            ServiceError: `surface-not-ready`, before the first tile.
        """
        result = read_result(self._content())
        warn_of_failures(check.to_json() for check in result.self_checks)
        return result

    def fetch(self, path: str | Path) -> Path:
        """Download the file of the surface or rollback; `path` never holds half of it.

        Raises:
            OSError: the file could not be written.
            ServiceError: `surface-not-ready`, before the first tile.
        """
        with publishing(Path(path)) as file:
            self._connection.download(f"{self._path}/surface", file)
        return Path(path)

    def wait(self, progress: bool = True, timeout: float | None = None) -> "Job":
        """Return once the job is completed.

        Args:
            progress: show a bar, if standard error is a terminal.
            timeout: seconds to wait at most; no limit by default. The job continues.

        Raises:
            JobFailed: it failed or was cancelled; `problem` says why.
            SelfCheckWarning: (a warning) a self-check failed: do not trust the surface.
            TimeoutError: it has not ended in time.
            ServiceUnreachable: the service was away for five minutes.
        """
        with JobProgress(self.status, shown=progress) as bar:
            for status in self.events(timeout):
                bar.show(status)
        self.raise_for_failure()
        warn_of_failures(self.status.self_checks)
        return self

    def events(self, timeout: float | None = None) -> Iterator[JobStatus]:
        """Each change of the job's status as it comes, from the present one to a final one.

        It listens to the service's event stream, connects again if that is lost, and asks in
        intervals if there is none. Raises what `wait` raises, except `JobFailed`.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        pause, streaming = POLL_S[0], True
        while True:
            if streaming:
                try:
                    for status in self._stream(deadline):
                        pause = POLL_S[0]
                        yield status
                        if status.final:
                            return
                except EventsNotOffered:
                    streaming = False
            seen = self.status
            status = self._look(deadline)
            if status != seen or status.final:
                yield status
            if status.final:
                return
            left = self._left(deadline)
            time.sleep(min(pause, left))
            pause = min(POLL_S[1], pause * 1.5)

    def raise_for_failure(self) -> None:
        """Raise `JobFailed` if the job ended as failed or cancelled."""
        if not self.status.final or self.completed:
            return
        problem = Problem(ProblemType.JOB_NOT_ACTIVE, f"job {self.id} was {self.state}")
        if self.error is not None:
            problem = replace(self.error, detail=f"job {self.id} failed: {self.error.detail}")
        raise JobFailed(problem, self.id, self.state)

    def _content(self) -> io.BytesIO:
        content = io.BytesIO()
        self._connection.download(f"{self._path}/surface", content)
        content.seek(0)
        return content

    @property
    def _path(self) -> str:
        return job_path(self.id)

    def _see(self, members: Mapping[str, Any]) -> JobStatus:
        self.status = JobStatus.from_json(members)
        return self.status

    def _stream(self, deadline: float) -> Iterator[JobStatus]:
        """Events of one connection, which may end early."""
        silence = min(_SILENCE, self._left(deadline))
        try:
            for event in self._connection.events(
                f"{self._path}/events", silence, lambda: self._left(deadline)
            ):
                if event.event == "job":
                    yield self._see(_members(event.data))
        except ServiceError as error:
            gone = error.problem.type is ProblemType.JOB_NOT_FOUND
            if not gone and error.status in (404, 405, 406, 501):
                raise EventsNotOffered(str(error)) from error
            lost = isinstance(error, ServiceUnreachable)  # the next look waits for its return
            if not lost and error.status not in RETRIED_STATUS:
                raise

    def _look(self, deadline: float) -> JobStatus:
        """Ask once, with the patience that a restart of the service needs."""
        seconds = min(_OUTAGE, self._left(deadline))
        patience = replace(self._connection.retries, tries=10**6, seconds=seconds)
        try:
            return self._see(self._connection.call("GET", self._path, retries=patience))
        except ServiceUnreachable:
            self._left(deadline)
            raise

    def _left(self, deadline: float) -> float:
        """Seconds until the deadline, above 0."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"job {self.id} is still {self.state}: timed out")
        return left


def job_path(job_id: str) -> str:
    """The path of a job; whatever the id holds, it stays one segment."""
    if not job_id or set(job_id) <= {"."}:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "id", job_id, "the id of a job")
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _members(data: str) -> Mapping[str, Any]:
    try:
        members = json.loads(data)
    except ValueError:
        members = {}
    return members if isinstance(members, dict) else {}
