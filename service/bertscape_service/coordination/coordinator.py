"""The coordinator: joins scheduler, journal, dispatcher and publication, on one event loop.

Whatever happens reaches it as a call on the loop's thread: a submission, a cancellation, a message
of the dispatcher, its loss. It writes to the journal what that brought, tells the scheduler, and
carries out the instructions. The journal keeps the order of the calls, so a job's end is never
committed before its tiles; and what anyone is shown of a job is read from the journal, so nothing
is shown that could still be lost.
"""

import asyncio
import importlib.metadata
import logging
import platform
import time
import uuid
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from bertscape.spec import FinetuneSpec, JobSpec
from bertscape.values import (
    BertscapeError,
    Pins,
    Problem,
    ProblemType,
    shortened,
)
from bertscape_service.configuration import Settings, StateDirectory
from bertscape_service.coordination.failures import change, failure
from bertscape_service.coordination.job_view import IDLE, Activity
from bertscape_service.coordination.publication import Publication
from bertscape_service.coordination.submission import check_submission, digest
from bertscape_service.coordination.subscriptions import Subscriptions
from bertscape_service.coordination.work_in_flight import BusyWorkers, Told, UnfinishedWork
from bertscape_service.journal import (
    Added,
    AttemptRow,
    JobRow,
    Journal,
    NewJob,
    Outcome,
    RunFacts,
    TileRow,
    UnfinishedJob,
)
from bertscape_service.ray_cluster import (
    ClusterFound,
    DescribeJob,
    DispatcherLink,
    DispatcherOptions,
    LinkFactory,
    PrepareDone,
    PrepareRefused,
    Supervision,
    TileRefused,
    TileResult,
    WorkProgress,
)
from bertscape_service.scheduling import (
    ArraysLost,
    CapacityChanged,
    CompleteJob,
    DispatcherLost,
    DropJob,
    Event,
    FailJob,
    Instruction,
    JobAdmitted,
    JobCancelled,
    JobPrepared,
    JobRefused,
    JobState,
    KillWorker,
    MarkPreparing,
    MarkRunning,
    PrepareFailed,
    PrepareJob,
    RunTile,
    Scheduler,
    StartWorker,
    TileAdvanced,
    TileDone,
    TileFailed,
    WorkerDied,
    WorkerReady,
    WorkerSnapshot,
    WorkerState,
)

logger = logging.getLogger(__name__)

_PUBLISH_AGAIN_S = 5.0  # while the disk refuses a completed surface
_LAST_WORK_S = 3.0  # that a stopping service gives to what it is about to finish


class Coordinator:
    """One service. Every method belongs on the thread of the loop that called `start`.

    Args:
        settings: what `serve` was told.
        state: the state directory, which this process holds.
        make_link: makes links to dispatchers; by default real ones.

    Raises:
        InvalidInput: the journal there is of a newer version, or none.
    """

    def __init__(
        self, settings: Settings, state: StateDirectory, make_link: LinkFactory | None = None
    ) -> None:
        self.settings = settings
        self.cluster: ClusterFound | None = None  # of the present dispatcher
        self.subscriptions = Subscriptions()
        self.journal = Journal(state.journal)
        self.publication = Publication(self.journal, state.surfaces)
        self._outputs = state.outputs
        self._scheduler = Scheduler()
        self._busy = BusyWorkers()
        self._jobs: dict[str, UnfinishedWork] = {}
        self._described: set[str] = set()  # jobs that the present dispatcher knows
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dispatcher = Supervision(
            make_link or _link_factory(settings, state), self._receive, self._lose_dispatcher
        )

    # The service's life.

    async def start(self) -> None:
        """Carry on with the unfinished jobs, and start a dispatcher."""
        for job in await asyncio.to_thread(self.journal.unfinished):
            self._restore(job)
        self._dispatcher.start()

    async def stop(self) -> None:
        """End everything within seconds, in an order that loses nothing that was acknowledged."""
        self.end_streams()
        await self._dispatcher.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST_WORK_S)
            for task in late:
                task.cancel()
        await asyncio.to_thread(self.journal.close)

    def end_streams(self) -> None:
        """Let those who follow a job go; the service is about to stop."""
        self.subscriptions.close()

    @property
    def is_stopping(self) -> bool:
        """Whether the service is about to stop."""
        return self.subscriptions.closed

    # What users do.

    async def submit(self, value: Any, idempotency_key: str | None = None) -> JobRow:
        """Check a job spec given as plain values, write the job down and queue it.

        Returns:
            The job, once it is committed; the earlier one where the key was used for the same.

        Raises:
            InvalidInput: the spec is wrong.
            BertscapeError: idempotency-conflict, or unavailable where the disk refuses.
        """
        sha256 = await asyncio.to_thread(digest, value)
        if idempotency_key is not None:  # first: files may have changed since the first call
            earlier = await asyncio.to_thread(self.journal.job_of_key, idempotency_key, sha256)
            if earlier is not None:
                return _unless_another(earlier, idempotency_key)
        spec = await asyncio.to_thread(
            check_submission, value, self.settings, self.cluster, self.journal.job, self._outputs
        )
        job_id = uuid.uuid4().hex[:12]
        points = spec.points_per_tile(self.settings.tile_points)
        new = NewJob(job_id, spec, points, sha256, idempotency_key)
        # A client that hangs up must not leave a job that is written down but not queued.
        added = await asyncio.shield(self._spawn(self._add(new)))
        return _unless_another(added, idempotency_key)

    async def cancel(self, job_id: str) -> JobRow:
        """Stop a job; what is done stays.

        Raises:
            BertscapeError: job-not-found, or job-not-active where it has ended otherwise.
        """
        return await asyncio.shield(self._spawn(self._cancel(job_id)))

    async def job(self, job_id: str) -> JobRow:
        """The job as it is committed.

        Raises:
            BertscapeError: job-not-found.
        """
        row = await asyncio.to_thread(self.journal.job, job_id)
        if row is None:
            detail = f"there is no job {shortened(job_id, 80)}"
            raise BertscapeError(Problem(ProblemType.JOB_NOT_FOUND, detail, value=job_id[:80]))
        return row

    def activity(self, job_id: str) -> Activity:
        """What happens to the job now."""
        job = self._jobs.get(job_id)
        return IDLE if job is None else job.activity(self._busy.count(job_id))

    def workers(self) -> tuple[WorkerSnapshot, ...]:
        """Every worker that is not dead."""
        return self._scheduler.workers()

    @property
    def is_ready(self) -> bool:
        """Whether there is a live dispatcher with a worker that can take work."""
        ready = (WorkerState.IDLE, WorkerState.BUSY)
        return self._dispatcher.alive and any(w.state in ready for w in self.workers())

    # Jobs.

    def _restore(self, job: UnfinishedJob) -> None:
        if job.missing and job.row.state is not JobState.QUEUED:
            self._mark(job.row.id, JobState.QUEUED)  # nobody works for it yet
        self._admit(
            UnfinishedWork.of(job.row),
            JobAdmitted(
                job.row.id,
                job.missing,
                device=job.row.findings.device if job.row.findings else None,
                attempts=job.failed_attempts,
                prepare_attempts=job.prepare_attempts,
            ),
        )

    async def _add(self, new: NewJob) -> Added:
        added = await asyncio.wrap_future(self.journal.add_job(new))
        if added.created:
            work = UnfinishedWork.of(added.job)
            self._admit(work, JobAdmitted(added.job.id, tuple(range(added.job.tiles_total))))
        return added

    def _admit(self, work: UnfinishedWork, event: JobAdmitted) -> None:
        self._jobs[work.job_id] = work
        self._handle(event)

    async def _cancel(self, job_id: str) -> JobRow:
        ended = self.journal.end_job(job_id, JobState.CANCELLED, lasting=False)
        if not await asyncio.wrap_future(ended):
            row = await self.job(job_id)
            if row.state is not JobState.CANCELLED:
                detail = f"job {job_id} is {row.state.value}; expected one that has not ended"
                raise BertscapeError(Problem(ProblemType.JOB_NOT_ACTIVE, detail, value=job_id))
            return row
        if self._jobs.pop(job_id, None) is not None:
            self._handle(JobCancelled(job_id))
        self.subscriptions.notify(job_id)
        row = await self.job(job_id)
        self._publish_later(job_id, row.spec)
        return row

    async def _complete(self, job: UnfinishedWork) -> None:
        """Publish a job all of whose tiles are done, then say that it is completed."""
        await asyncio.wrap_future(self.journal.settled())
        state, error = JobState.COMPLETED, None
        try:
            if _has_surface(job.spec):
                await self._publish_whole(job.job_id)
        except Exception as fault:
            logger.exception("the surface of job %s cannot be made", job.job_id)
            detail = f"its surface cannot be made: {fault}"
            state, error = JobState.FAILED, Problem(ProblemType.INTERNAL, detail)
        await self._committed(job.job_id, self.journal.end_job(job.job_id, state, error))

    async def _publish_whole(self, job_id: str) -> None:
        while True:
            try:
                await asyncio.to_thread(self.publication.publish, job_id)
            except OSError as error:
                logger.warning("the surface of job %s waits for the disk: %s", job_id, error)
                await asyncio.sleep(_PUBLISH_AGAIN_S)
            else:
                return

    def _publish_later(self, job_id: str, spec: JobSpec) -> None:
        if _has_surface(spec):
            self._spawn(self._publish_what_is_done(job_id))

    async def _publish_what_is_done(self, job_id: str) -> None:
        try:
            await asyncio.wrap_future(self.journal.settled())
            await asyncio.to_thread(self.publication.publish, job_id)
        except (OSError, BertscapeError) as error:  # made again when someone asks for it
            logger.warning("the surface of job %s is not published now: %s", job_id, error)

    def _fail(self, instruction: FailJob) -> None:
        job = self._jobs.pop(instruction.job_id)
        problem = failure(job, instruction)
        ended = self.journal.end_job(job.job_id, JobState.FAILED, problem)
        self._spawn(self._committed(job.job_id, ended))
        self._publish_later(job.job_id, job.spec)

    # What the dispatcher says.

    def _receive(self, message: object) -> None:
        try:
            self._take_in(message)
        except Exception as error:
            # It cannot be trusted from here on; the journal holds what it did.
            logger.exception("the dispatcher is replaced, for it sent %s", shortened(message))
            self._dispatcher.give_up_on_it(f"a message of it could not be taken in: {error}")

    def _take_in(self, message: object) -> None:
        match message:
            case ClusterFound():
                self._find_cluster(message)
            case WorkerReady():
                self._busy.welcome(message.worker_id, message.device)
                self._handle(message)
            case WorkProgress():
                self._show_stage(message)
            case PrepareDone():
                self._take_prepared(message)
            case PrepareRefused():
                self._take_refusal(message)
            case TileResult():
                self._take_tile(message)
            case TileAdvanced():
                self._take_advance(message)
            case TileRefused() | TileFailed() | ArraysLost() | WorkerDied():
                self._take_failure(message)
            case JobPrepared():
                self._handle(message)
            case _:
                raise TypeError(
                    f"{message!r}: expected a message of bertscape_service.ray_cluster.messages"
                )

    def _lose_dispatcher(self, _: str) -> None:
        for worker in self._busy.names():
            self._end_attempt(worker, Outcome.LOST, "the dispatcher was lost")
        self._busy.forget_all()
        self._described.clear()
        self.cluster = None
        for job in self._jobs.values():
            job.leave_stage()
        self._handle(DispatcherLost())
        for job_id in self._jobs:
            self.subscriptions.notify(job_id)

    def _find_cluster(self, found: ClusterFound) -> None:
        self.cluster = found
        self._dispatcher.gave_sign_of_life()
        self._handle(CapacityChanged(found.workers))

    def _show_stage(self, progress: WorkProgress) -> None:
        job = self._jobs.get(progress.job_id)
        if job is not None:
            job.enter((progress.stage, progress.done, progress.total), progress.latest)
            self.subscriptions.notify(progress.job_id)

    def _take_prepared(self, done: PrepareDone) -> None:
        job = self._jobs.get(done.job_id)
        prepared = JobPrepared(done.job_id, done.worker_id, done.device)
        if job is None:  # it has ended meanwhile
            self._busy.release(done.worker_id)
            self._handle(prepared)
            return
        self._end_attempt(done.worker_id, Outcome.DONE)
        job.leave_stage()
        changed = change(job.pins, done.findings) if job.pins else None
        if changed is not None:
            job.problem = changed
            self._handle(JobRefused(job.job_id, changed.detail))
            self._handle(prepared)
            return
        job.pins = job.pins or done.findings
        pinned = self.journal.pin(job.job_id, done.findings, self._run_facts(done.findings))
        self._spawn(self._run_once_pinned(pinned, prepared))

    async def _run_once_pinned(self, pinned: "Future[None]", prepared: JobPrepared) -> None:
        """Pins come before the first tile; other messages are taken in meanwhile."""
        await self._committed(prepared.job_id, pinned)
        self._receive(prepared)

    def _take_refusal(self, refused: PrepareRefused) -> None:
        problem = refused.problem
        job = self._jobs.get(refused.job_id)
        if job is not None:
            job.leave_stage()
            job.problem = problem
        self._end_attempt(refused.worker_id, Outcome.FAILED, problem.detail)
        self._handle(
            PrepareFailed(refused.job_id, refused.worker_id, problem.detail, refused.final)
        )

    def _take_tile(self, result: TileResult) -> None:
        told = self._busy.told(result.worker_id)
        job = self._jobs.get(result.job_id)
        if job is not None and told is not None and told.tile == result.tile:
            expected = (job.points_in(result.tile), len(job.spec.number_names))
            if result.numbers.shape != expected:
                error = f"the worker gave numbers of shape {result.numbers.shape}, not {expected}"
                self._take_failure(TileFailed(result.job_id, result.tile, result.worker_id, error))
                return
            self._keep_tile(job, told, result)
        self._busy.release(result.worker_id)
        self._handle(TileDone(result.job_id, result.tile, result.worker_id))

    def _keep_tile(self, job: UnfinishedWork, told: Told, result: TileResult) -> None:
        job.tiles_left -= 1
        job.seconds.append(result.seconds)
        attempt = AttemptRow(
            result.tile,
            told.attempt,
            result.worker_id,
            result.device,
            Outcome.DONE,
            result.started,
            result.seconds,
        )
        tile = TileRow(result.tile, result.numbers)
        kept = self.journal.add_tile(job.job_id, tile, attempt, result.output)
        self._spawn(self._committed(job.job_id, kept))

    def _take_advance(self, advance: TileAdvanced) -> None:
        worker, told = advance.worker_id, self._busy.told(advance.worker_id)
        if told is None or (told.job_id, told.tile) != (advance.job_id, advance.tile):
            return  # it crossed with what ended that
        if told.attempt > 1 and advance.job_id in self._jobs:
            # Written down: what failed before does not count after a restart either.
            self._write_attempt(worker, told, Outcome.DONE)
            self._busy.release(worker)
            self._busy.tell(worker, replace(told, attempt=1, started=time.time()))
            self._handle(advance)

    def _take_failure(self, event: TileRefused | TileFailed | ArraysLost | WorkerDied) -> None:
        match event:
            case TileRefused(job_id, tile, worker, problem):
                self._end_attempt(worker, Outcome.FAILED, problem.detail)
                if (job := self._jobs.get(job_id)) is not None:
                    job.problem = problem
                    self._handle(JobRefused(job_id, problem.detail))
                event = TileFailed(job_id, tile, worker, problem.detail)
            case TileFailed(_, _, worker, error):
                self._end_attempt(worker, Outcome.FAILED, error)
            case ArraysLost(_, worker):
                self._end_attempt(worker, Outcome.LOST, "the job's arrays were lost")
            case WorkerDied(worker, reason, counts):
                outcome = Outcome.FAILED if counts else Outcome.LOST
                self._end_attempt(worker, outcome, f"the worker died: {reason}")
                self._busy.bury(worker)
        self._handle(event)

    def _end_attempt(self, worker: str, outcome: Outcome, error: str | None = None) -> Told | None:
        """Write down how what the worker was told to do ended, but for a job that has ended."""
        told = self._busy.release(worker)
        if told is not None and (job := self._jobs.get(told.job_id)) is not None:
            if told.tile is None or isinstance(job.spec, FinetuneSpec):
                job.leave_stage()
            self._write_attempt(worker, told, outcome, error)
        return told

    def _write_attempt(
        self, worker: str, told: Told, outcome: Outcome, error: str | None = None
    ) -> None:
        attempt = told.ended(worker, self._busy.device_of(worker), outcome, error)
        written = self.journal.add_attempt(told.job_id, attempt)
        self._spawn(self._committed(told.job_id, written))

    def _run_facts(self, findings: Pins) -> RunFacts:
        versions = {
            "python": platform.python_version(),
            "bertscape": importlib.metadata.version("bertscape"),
            "torch": findings.torch,
            "ray": self.cluster.ray_version if self.cluster else "",
        }
        return RunFacts(self._scheduler.capacity, findings.threads, versions)

    # What the scheduler decides.

    def _handle(self, event: Event) -> None:
        for instruction in self._scheduler.handle(event):
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case StartWorker() | KillWorker():
                self._dispatcher.send(instruction)
            case PrepareJob() | RunTile():
                self._give_work(instruction)
            case DropJob(job_id):
                self._dispatcher.send(instruction)
                self._described.discard(job_id)
            case MarkPreparing(job_id):
                self._mark(job_id, JobState.PREPARING)
            case MarkRunning(job_id):
                self._mark(job_id, JobState.RUNNING)
            case CompleteJob(job_id):
                self._spawn(self._complete(self._jobs.pop(job_id)))
            case FailJob():
                self._fail(instruction)

    def _give_work(self, instruction: PrepareJob | RunTile) -> None:
        job = self._jobs[instruction.job_id]
        if job.job_id not in self._described:
            self._described.add(job.job_id)
            output = str(self._outputs / job.job_id)
            self._dispatcher.send(DescribeJob(job.job_id, job.spec, job.tile_points, output))
        self._busy.tell(instruction.worker_id, Told.by(instruction))
        self._dispatcher.send(instruction)
        self.subscriptions.notify(job.job_id)

    def _mark(self, job_id: str, state: JobState) -> None:
        self._spawn(self._committed(job_id, self.journal.mark(job_id, state)))

    async def _committed(self, job_id: str, write: "Future[Any]") -> None:
        """Wait for a commit, then tell those who follow the job."""
        await asyncio.wrap_future(write)
        self.subscriptions.notify(job_id)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BertscapeError):
            logger.error("the coordinator is at fault", exc_info=error)


def _has_surface(spec: JobSpec) -> bool:
    """Whether there is a file to publish; what a fine-tuning leaves behind is published by it."""
    return not isinstance(spec, FinetuneSpec)


def _unless_another(added: Added, idempotency_key: str | None) -> JobRow:
    if added.same_body:
        return added.job
    detail = f"Idempotency-Key {idempotency_key!r} was used for another body"
    problem = Problem(ProblemType.IDEMPOTENCY_CONFLICT, detail, "Idempotency-Key", idempotency_key)
    raise BertscapeError(problem)


def _link_factory(settings: Settings, state: StateDirectory) -> LinkFactory:
    options = DispatcherOptions(settings.ray_address, settings.workers, settings.cpus_per_worker)
    return lambda on_message, on_lost: DispatcherLink(options, on_message, on_lost, state.path)
