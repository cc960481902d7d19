"""The coordinator: joins scheduler, journal, dispatcher and publication, on one event loop.

Whatever happens reaches it as a call on the loop's thread: a submission, a cancellation, a message
of the dispatcher, its loss. It has written down what that brought (`attempts`, `endings`), tells
the scheduler, and carries out the instructions. The journal keeps the order of the calls, so a
job's end is never committed before its tiles; and what anyone is shown of a job is read from the
journal, so nothing is shown that could still be lost.
"""

import asyncio
import importlib.metadata
import itertools
import logging
import platform
import re
from concurrent.futures import Future
from dataclasses import replace

from bertscape.spec import JobSpec
from bertscape.values import JobEstimate, Pins, shortened
from bertscape_service.configuration import Settings, StateDirectory
from bertscape_service.coordination.attempts import Attempts
from bertscape_service.coordination.endings import Endings
from bertscape_service.coordination.failures import change, failure
from bertscape_service.coordination.jobs import Jobs
from bertscape_service.coordination.publication import Publication
from bertscape_service.coordination.results import JobResults
from bertscape_service.coordination.subscriptions import Commits, Subscriptions
from bertscape_service.coordination.work_in_flight import IDLE, Activity, UnfinishedWork
from bertscape_service.estimation import Estimator, Workers
from bertscape_service.journal import Added, Journal, NewJob, Outcome, RunFacts, UnfinishedJob
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
    TilesAdded,
    WorkerDied,
    WorkerReady,
    WorkerSnapshot,
    WorkerState,
)
from bertscape_workers.admission import Admitted

logger = logging.getLogger(__name__)

_NEWER_RULES = "an earlier version took this spec, and this one refuses it"
LAST_WORK_S = 3.0  # that a stopping service gives to what it is about to finish


class Coordinator:
    """One service. Every method belongs on the thread of the loop that called `start`.

    Args:
        settings: what `serve` was told.
        state: the state directory, which this process holds.
        make_link: makes links to dispatchers; by default real ones.
        journal: of the state directory; by default one of its own. `stop` closes it.
        scheduler: decides which worker does what; by default a new one.

    Attributes:
        jobs: What users do with jobs, and see of them.
        results: The files of results.
        journal: What is committed.
        cluster: The cluster of the present dispatcher; None while it does not answer.

    Raises:
        InvalidInput: the journal there is of a newer version, or none.
    """

    def __init__(
        self,
        settings: Settings,
        state: StateDirectory,
        make_link: LinkFactory | None = None,
        journal: Journal | None = None,
        scheduler: Scheduler | None = None,
    ) -> None:
        self.cluster: ClusterFound | None = None
        self.journal = journal or Journal(state.journal)
        self.publication = Publication(self.journal, state.surfaces)
        self._subscriptions = Subscriptions()
        self._commits = Commits(self._subscriptions)
        self._unfinished: dict[str, UnfinishedWork] = {}
        self._attempts = Attempts(self.journal, self._commits, self._unfinished)
        self._endings = Endings(self.journal, self.publication, self._commits)
        self._outputs = state.outputs
        self._estimator = Estimator(self.journal, settings.tile_points)
        self.jobs = Jobs(settings, state.outputs, self.journal, self, self._subscriptions)
        self.results = JobResults(self.journal, self.publication)
        self._scheduler = scheduler or Scheduler()
        self._described: set[str] = set()  # jobs that the present dispatcher knows
        self._stimuli = itertools.count(1)
        self._stimulus: str | None = None  # the message that is taken in
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
        await self._commits.finish(LAST_WORK_S)
        await asyncio.to_thread(self.journal.close)

    def end_streams(self) -> None:
        """Let those who follow a job go; the service is about to stop."""
        self._subscriptions.close()

    # What may be asked about the workers.

    def workers(self) -> tuple[WorkerSnapshot, ...]:
        """Every worker that is not dead."""
        return self._scheduler.workers()

    @property
    def is_ready(self) -> bool:
        """Whether there is a live dispatcher with a worker that can take work."""
        ready = (WorkerState.IDLE, WorkerState.BUSY)
        return self._dispatcher.alive and any(w.state in ready for w in self.workers())

    # Jobs.

    async def take_on(self, job: NewJob) -> Added:
        """Write a job down, and queue it unless its idempotency key was used before.

        Raises:
            JournalUnavailable: the disk refuses.
        """
        # A client that hangs up must not leave a job that is written down but not queued.
        return await asyncio.shield(self._commits.spawn(self._take_on(job)))

    async def cancel(self, job_id: str) -> bool:
        """Stop a job; what is done stays. False if it has ended, or was never there.

        Raises:
            JournalUnavailable: the disk refuses.
        """
        return await asyncio.shield(self._commits.spawn(self._cancel(job_id)))

    def activity(self, job_id: str) -> Activity:
        """What happens to the job now."""
        job = self._unfinished.get(job_id)
        return IDLE if job is None else job.activity(self._attempts.count(job_id))

    async def estimate(self, job: Admitted[JobSpec]) -> JobEstimate:
        """What the job would take on the workers that are there now.

        Raises:
            InvalidInput: a row is wrong, as far as rows were read.
        """
        workers = Workers.of(self.workers(), self.cluster)
        return await asyncio.to_thread(self._estimator.answer, job, workers)

    def estimate_later(self, job_id: str, job: Admitted[JobSpec]) -> None:
        """Write down what a job is going to take, beside all else that happens."""
        workers = Workers.of(self.workers(), self.cluster)
        self._commits.spawn(self._keep_estimate(job_id, job, workers))

    async def _keep_estimate(self, job_id: str, job: Admitted[JobSpec], workers: Workers) -> None:
        work = await asyncio.to_thread(self._estimator.work, job, workers)
        await asyncio.wrap_future(self.journal.keep_estimate(job_id, work))

    def _restore(self, job: UnfinishedJob) -> None:
        if job.row.unread is not None:
            problem = replace(job.row.unread, detail=f"{job.row.unread.detail} ({_NEWER_RULES})")
            self.journal.end_job(job.row.id, JobState.FAILED, problem)
            return
        work, missing = UnfinishedWork.of(job.row, job.tiles), job.missing
        if tiles := work.begin_round():  # the service ended between a round and the next
            self._begin_round(work, tiles)
            missing = tiles
        if missing and job.row.state is not JobState.QUEUED:
            self._mark(job.row.id, JobState.QUEUED)  # nobody works for it yet
        self._admit(
            work,
            JobAdmitted(
                job.row.id,
                missing,
                device=job.row.findings.device if job.row.findings else None,
                attempts=job.failed_attempts,
                prepare_attempts=job.prepare_attempts,
            ),
        )

    async def _take_on(self, new: NewJob) -> Added:
        added = await asyncio.wrap_future(self.journal.add_job(new))
        if added.created:
            work = UnfinishedWork.of(added.job)
            self._admit(work, JobAdmitted(added.job.id, tuple(range(added.job.tiles_total))))
        return added

    def _admit(self, work: UnfinishedWork, event: JobAdmitted) -> None:
        self._unfinished[work.job_id] = work
        self._handle(event)

    async def _cancel(self, job_id: str) -> bool:
        if not await self._endings.cancel(job_id):
            return False
        if self._unfinished.pop(job_id, None) is not None:
            self._handle(JobCancelled(job_id))
        self._subscriptions.notify(job_id)
        return True

    # What the dispatcher says.

    def _receive(self, message: object) -> None:
        self._stimulus = getattr(message, "stimulus_id", "") or self._name(message)
        try:
            self._take_in(message)
        except Exception as error:
            # It cannot be trusted from here on; the journal holds what it did.
            logger.exception("replacing the dispatcher, because it sent %s", shortened(message))
            self._dispatcher.give_up_on_it(f"a message of it could not be taken in: {error}")
        finally:
            self._stimulus = None

    def _take_in(self, message: object) -> None:
        match message:
            case ClusterFound():
                self._find_cluster(message)
            case WorkerReady():
                self._attempts.welcome(message.worker_id, message.device)
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
        self._attempts.lose_all("the dispatcher was lost")
        self._described.clear()
        self.cluster = None
        for job in self._unfinished.values():
            job.leave_stage()
        self._handle(DispatcherLost())
        for job_id in self._unfinished:
            self._subscriptions.notify(job_id)

    def _find_cluster(self, found: ClusterFound) -> None:
        self.cluster = found
        self._dispatcher.gave_sign_of_life()
        self._handle(CapacityChanged(found.workers))

    def _show_stage(self, progress: WorkProgress) -> None:
        job = self._unfinished.get(progress.job_id)
        if job is not None:
            job.enter((progress.stage, progress.done, progress.total), progress.latest)
            self._subscriptions.notify(progress.job_id)

    def _take_prepared(self, done: PrepareDone) -> None:
        job = self._unfinished.get(done.job_id)
        prepared = JobPrepared(done.job_id, done.worker_id, done.device)
        self._attempts.end(done.worker_id, Outcome.DONE)
        if job is None:  # it has ended meanwhile
            self._handle(prepared)
            return
        job.leave_stage()
        changed = change(job.pins, done.findings) if job.pins else None
        if changed is not None:
            job.problem = changed
            self._handle(JobRefused(job.job_id, changed.detail))
            self._handle(prepared)
            return
        job.pins = job.pins or done.findings
        pinned = self.journal.pin(job.job_id, done.findings, self._run_facts(done.findings))
        prepared = replace(prepared, stimulus_id=self._stimulus or "")
        self._commits.spawn(self._run_once_pinned(pinned, prepared))

    async def _run_once_pinned(self, pinned: "Future[None]", prepared: JobPrepared) -> None:
        """Pins come before the first tile; other messages are taken in meanwhile."""
        await self._commits.of(prepared.job_id, pinned)
        self._receive(prepared)

    def _take_refusal(self, refused: PrepareRefused) -> None:
        problem = refused.problem
        job = self._unfinished.get(refused.job_id)
        if job is not None:
            job.leave_stage()
            job.problem = problem
        self._attempts.end(refused.worker_id, Outcome.FAILED, problem.detail)
        self._handle(
            PrepareFailed(refused.job_id, refused.worker_id, problem.detail, refused.final)
        )

    def _take_tile(self, result: TileResult) -> None:
        told = (result.worker_id, result.job_id, result.tile)
        job = self._unfinished.get(result.job_id)
        if job is not None and self._attempts.runs(*told):
            found, expected = result.numbers.shape, job.shape_of(result.tile)
            if found != expected:
                error = f"the worker gave numbers of shape {found}, not {expected}"
                self._take_failure(TileFailed(result.job_id, result.tile, result.worker_id, error))
                return
            job.gave(result.tile, result.numbers, result.seconds)
            self._attempts.keep(job, result)
            if tiles := job.begin_round():
                self._begin_round(job, tiles)
                self._handle(TilesAdded(job.job_id, tiles))
        self._attempts.release(result.worker_id)
        self._handle(TileDone(result.job_id, result.tile, result.worker_id))

    def _begin_round(self, job: UnfinishedWork, tiles: tuple[int, ...]) -> None:
        added = self.journal.add_round(job.job_id, len(tiles), job.spec.point_count)
        self._commits.announce(job.job_id, added)

    def _take_advance(self, advance: TileAdvanced) -> None:
        if self._attempts.advance(advance):
            self._handle(advance)

    def _take_failure(self, event: TileRefused | TileFailed | ArraysLost | WorkerDied) -> None:
        match event:
            case TileRefused(job_id, tile, worker, problem):
                self._attempts.end(worker, Outcome.FAILED, problem.detail)
                if (job := self._unfinished.get(job_id)) is not None:
                    job.problem = problem
                    self._handle(JobRefused(job_id, problem.detail))
                event = TileFailed(job_id, tile, worker, problem.detail)
            case TileFailed(_, _, worker, error):
                self._attempts.end(worker, Outcome.FAILED, error)
            case ArraysLost(_, worker):
                self._attempts.end(worker, Outcome.LOST, "the job's arrays were lost")
            case WorkerDied(worker, reason, counts):
                self._attempts.bury(worker, Outcome.FAILED if counts else Outcome.LOST, reason)
        self._handle(event)

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
        cause = event.stimulus_id or self._stimulus or self._name(event)
        for instruction in self._scheduler.handle(replace(event, stimulus_id=cause)):
            logger.debug("%s: %s", cause, instruction)
            self._carry_out(instruction)

    def _name(self, what: object) -> str:
        """A name for something that happens now, as in "tile-result-17"."""
        kind = re.sub(r"\B([A-Z])", r"-\1", type(what).__name__).lower()
        return f"{kind}-{next(self._stimuli)}"

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
                self._endings.complete(self._unfinished.pop(job_id))
            case FailJob(job_id):
                job = self._unfinished.pop(job_id)
                self._endings.fail(job, failure(job, instruction))

    def _give_work(self, instruction: PrepareJob | RunTile) -> None:
        job = self._unfinished[instruction.job_id]
        if job.job_id not in self._described:
            self._described.add(job.job_id)
            output = str(self._outputs / job.job_id)
            self._dispatcher.send(DescribeJob(job.job_id, job.spec, job.tile_points, output))
        self._attempts.begin(instruction)
        self._dispatcher.send(instruction)
        self._subscriptions.notify(job.job_id)

    def _mark(self, job_id: str, state: JobState) -> None:
        self._commits.announce(job_id, self.journal.mark(job_id, state))


def _link_factory(settings: Settings, state: StateDirectory) -> LinkFactory:
    options = DispatcherOptions(settings.ray_address, settings.workers, settings.cpus_per_worker)
    return lambda on_message, on_lost: DispatcherLink(options, on_message, on_lost, state.path)
