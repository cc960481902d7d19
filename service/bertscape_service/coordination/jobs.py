"""What users do with jobs, and see of them: as committed, and its present progress."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bertscape.spec import JobSpec
from bertscape.values import (
    BertscapeError,
    EstimateKept,
    Findings,
    JobEstimate,
    JobStage,
    JobStatus,
    Problem,
    ProblemType,
    shortened,
)
from bertscape_service.configuration import Settings
from bertscape_service.coordination.submission import check_submission, check_with_stand_in, digest
from bertscape_service.coordination.subscriptions import Subscriptions
from bertscape_service.coordination.work_in_flight import Activity
from bertscape_service.journal import Added, JobRow, Journal, NewJob
from bertscape_service.ray_cluster import ClusterFound
from bertscape_service.scheduling import JobState
from bertscape_workers.admission import Admitted

BETWEEN_CHANGES_S = 0.2  # so that followers of a busy job hear of five changes a second at most


class Desk(Protocol):
    """Who has the jobs carried out."""

    @property
    def cluster(self) -> ClusterFound | None:
        """The cluster there is; None while it is not known."""

    async def take_on(self, job: NewJob) -> Added:
        """Write a job down, and queue it if it is new."""

    async def cancel(self, job_id: str) -> bool:
        """Stop a job; False if it has ended, or was never there."""

    def activity(self, job_id: str) -> Activity:
        """What happens to the job now."""

    async def estimate(self, job: Admitted[JobSpec]) -> JobEstimate:
        """What the job would take on the workers that are there now."""

    def estimate_later(self, job_id: str, job: Admitted[JobSpec]) -> None:
        """Have it written down what a job is going to take; this returns before."""


class Jobs:
    """The jobs of one service, as users have them.

    Every method belongs on the event loop's thread.

    Args:
        settings: what `serve` was told.
        outputs: the folder of what fine-tunings leave behind.
        journal: what is committed.
        desk: who has the jobs carried out.
        subscriptions: who follows which job.
    """

    def __init__(
        self,
        settings: Settings,
        outputs: Path,
        journal: Journal,
        desk: Desk,
        subscriptions: Subscriptions,
    ) -> None:
        self._settings = settings
        self._outputs = outputs
        self._journal = journal
        self._desk = desk
        self._subscriptions = subscriptions

    async def submit(self, value: Any, idempotency_key: str | None = None) -> JobStatus:
        """Check a job spec given as plain values, write the job down and queue it.

        Returns:
            The job, once it is committed; the earlier one if the key was used for the same.

        Raises:
            InvalidInput: the spec is wrong.
            BertscapeError: idempotency-conflict, or unavailable if the disk refuses.
        """
        sha256 = await asyncio.to_thread(digest, value)
        if idempotency_key is not None:  # first: files may have changed since the first call
            earlier = await asyncio.to_thread(self._journal.job_of_key, idempotency_key, sha256)
            if earlier is not None:
                return self._status(_unless_another(earlier, idempotency_key))
        found = await self._checked(value)
        points = found.spec.points_per_tile(self._settings.tile_points)
        new = NewJob(uuid.uuid4().hex[:12], found.spec, points, sha256, idempotency_key)
        added = await self._desk.take_on(new)
        if added.created:
            self._desk.estimate_later(added.job.id, found)
        return self._status(_unless_another(added, idempotency_key))

    async def estimate(self, value: Any, stand_in: str | None = None) -> JobEstimate:
        """What a job would take that is given as plain values; nothing is written down.

        Args:
            value: the job spec.
            stand_in: a checkpoint's folder in place of every `{job: ID}`, whatever these jobs are.

        Raises:
            InvalidInput: the spec is wrong, as for `submit`; or a row is, as far as they were read.
        """
        if stand_in is None:
            return await self._desk.estimate(await self._checked(value))
        found = await asyncio.to_thread(
            check_with_stand_in, value, stand_in, self._settings, self._desk.cluster, self._outputs
        )
        return await self._desk.estimate(found)

    async def _checked(self, value: Any) -> Admitted[JobSpec]:
        cluster, job_of = self._desk.cluster, self._journal.job
        return await asyncio.to_thread(
            check_submission, value, self._settings, cluster, job_of, self._outputs
        )

    async def cancel(self, job_id: str) -> JobStatus:
        """Stop a job; what is done stays.

        Raises:
            BertscapeError: job-not-found, or job-not-active if it has ended otherwise.
        """
        cancelled = await self._desk.cancel(job_id)
        row = await self._row(job_id)
        if not cancelled and row.state is not JobState.CANCELLED:
            detail = f"job {job_id} is {row.state.value}; expected one that has not ended"
            raise BertscapeError(Problem(ProblemType.JOB_NOT_ACTIVE, detail, value=job_id))
        return self._status(row)

    async def show(self, job_id: str) -> JobStatus:
        """The job as committed, with its present progress.

        Raises:
            BertscapeError: job-not-found.
        """
        return self._status(await self._row(job_id))

    async def page(self, limit: int, after: str | None) -> tuple[list[JobStatus], str | None]:
        """At most so many jobs, the newest first, and the `after` of the next page.

        Only the last entry of a training's log is included.

        Raises:
            BertscapeError: job-not-found, if there is no job `after`.
        """
        last = None if after is None else (await self._row(after)).number
        rows = await asyncio.to_thread(self._journal.jobs, limit + 1, last)
        page = rows[:limit]
        return [self._status(_brief(row)) for row in page], (
            page[-1].id if len(rows) > limit else None
        )

    async def follow(self, job_id: str, silence_s: float) -> AsyncGenerator[JobStatus | None, None]:
        """The job now, at each change, and for the last time when it has ended.

        Args:
            job_id: the job.
            silence_s: after so many seconds without a change comes a None.
        """
        with self._subscriptions.follow(job_id) as changed:
            while True:
                changed.clear()
                row = await self._row(job_id)
                yield self._status(row)
                if row.has_ended:
                    return
                await asyncio.sleep(BETWEEN_CHANGES_S)
                while not (self._subscriptions.closed or await _within(changed, silence_s)):
                    yield None
                if self._subscriptions.closed:
                    return

    async def _row(self, job_id: str) -> JobRow:
        row = await asyncio.to_thread(self._journal.job, job_id)
        if row is None:
            raise no_such_job(job_id)
        return row

    def _status(self, row: JobRow) -> JobStatus:
        return status_of(row, self._desk.activity(row.id))


def no_such_job(job_id: str) -> BertscapeError:
    """The answer if there is no such job."""
    detail = f"there is no job {shortened(job_id, 80)}"
    return BertscapeError(Problem(ProblemType.JOB_NOT_FOUND, detail, value=job_id[:80]))


def status_of(row: JobRow, activity: Activity) -> JobStatus:
    """The job object."""
    return JobStatus(
        id=row.id,
        name=row.spec.name,
        kind=row.spec.kind,
        state=row.state.value,
        created=_timestamp(row.created),
        updated=_timestamp(row.updated),
        points_total=row.points_total,
        points_done=row.points_done,
        tiles_total=row.tiles_total,
        tiles_done=row.tiles_done,
        eta_seconds=activity.eta_seconds,
        workers=activity.workers,
        progress=_progress(activity),
        error=row.error,
        spec=row.spec_values,
        self_checks=_self_checks(row),
        warnings=row.findings.warnings if row.findings else (),
        output=row.output,
        estimate=_estimate(row),
    )


def _brief(row: JobRow) -> JobRow:
    if row.output is None:
        return row
    return replace(row, output=replace(row.output, log=row.output.log[-1:]))


def _estimate(row: JobRow) -> EstimateKept | None:
    if row.estimate is None and row.taken is None:
        return None
    seconds = None if row.estimate is None else row.estimate.seconds
    return EstimateKept(seconds=seconds, taken=row.taken)


def _progress(activity: Activity) -> JobStage | None:
    if activity.stage is None:
        return None
    stage, done, total = activity.stage
    return JobStage(stage=stage, done=done, total=total, latest=activity.latest)


def _self_checks(row: JobRow) -> tuple[dict[str, Any], ...]:
    checks = row.findings.self_checks if isinstance(row.findings, Findings) else ()
    return tuple(check.to_json() for check in checks)


def _timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unless_another(added: Added, idempotency_key: str | None) -> JobRow:
    if added.same_body:
        return added.job
    detail = f"Idempotency-Key {idempotency_key!r} was used for another body"
    problem = Problem(ProblemType.IDEMPOTENCY_CONFLICT, detail, "Idempotency-Key", idempotency_key)
    raise BertscapeError(problem)


async def _within(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
