"""Which worker does what next: a synchronous machine without I/O, clock, sleep or randomness.

Events go in, instructions come out, in the order in which they are to be carried out. Whoever
calls it journals first what an event brought, then calls `Scheduler.handle`, from one thread.

States and legal transitions (every other one raises `IllegalTransition`)::

    job          event or cause                                        becomes
    ----------   ---------------------------------------------------   --------------------------
    (unknown)    JobAdmitted                                           queued
                 JobAdmitted without a tile                            completed
                 JobAdmitted with attempts used up                     failed
    queued       an idle worker is told to prepare it                  preparing
    preparing    JobPrepared                                           running; its device pinned
                 PrepareFailed, WorkerDied: fewer than 3 attempts      preparing, by another worker
                 PrepareFailed, WorkerDied: third attempt              failed
                 PrepareFailed, final                                  failed
                 WorkerDied that does not count, DispatcherLost        preparing, by another worker
    running      ArraysLost, DispatcherLost                            preparing
    preparing,   TileDone of its last missing tile                     completed
    running      TileFailed, WorkerDied: a tile's third attempt        failed
    any above    TilesAdded                                            the same, with more tiles
                 JobCancelled                                          cancelled
                 JobRefused                                            failed
    ended        TilesAdded, JobCancelled, JobRefused                  (absorbed: they may race)
                 JobAdmitted                                           queued, as a new job

    tile         event or cause                                        becomes
    ----------   ---------------------------------------------------   --------------------------
    pending      an idle worker is told to run it                      in flight
    in flight    TileDone                                              done
                 TileAdvanced                                          in flight; no attempts
                 TileFailed, WorkerDied                                pending, first; an attempt
                 WorkerDied that does not count, ArraysLost,
                 DispatcherLost                                        pending, first; no attempt
                 its third attempt fails                               its job failed
                 its job ended                                         reports are absorbed

    worker       event or cause                                        becomes
    ----------   ---------------------------------------------------   --------------------------
    starting     WorkerReady                                           idle
    idle         told to prepare a job or to run a tile                busy
    busy         JobPrepared, PrepareFailed (told to prepare)          idle
                 TileDone, TileFailed, ArraysLost (told to run)        idle
    starting,    more workers than the capacity: KillWorker            dead
    idle
    any above    WorkerDied, DispatcherLost                            dead
    dead         any report                                            (ignored: it was under way)

A report is legal only from the worker that was told to do just that. "Ended" is completed, failed
or cancelled; an ended job's work in flight is allowed to finish, and its reports only free their
workers. A job that was ended long ago is unknown again.

Which job an idle worker serves: the oldest one that has something for it. That is a pending tile of
a running job, or the preparing of a job that nobody prepares, where a job that is pinned to a
device is left to workers of that device. Preparing holds whole checkpoints in memory, so only
`PREPARING_AT_ONCE` workers of one device do it at a time.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import assert_never

from bertscape_service.scheduling.events import (
    ArraysLost,
    CapacityChanged,
    DispatcherLost,
    Event,
    JobAdmitted,
    JobCancelled,
    JobPrepared,
    JobRefused,
    PrepareFailed,
    TileAdvanced,
    TileDone,
    TileFailed,
    TilesAdded,
    WorkerDied,
    WorkerReady,
)
from bertscape_service.scheduling.instructions import (
    CompleteJob,
    DropJob,
    FailJob,
    Instruction,
    MarkPreparing,
    MarkRunning,
    PrepareJob,
    RunTile,
)
from bertscape_service.scheduling.scheduled_jobs import Job, JobsByAge, JobState
from bertscape_service.scheduling.worker_pool import (
    MAX_START_DELAY_S,
    Assignment,
    Worker,
    WorkerPool,
    WorkerSnapshot,
    WorkerState,
)

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_START_DELAY_S",
    "PREPARING_AT_ONCE",
    "IllegalTransition",
    "InconsistentState",
    "JobState",
    "Scheduler",
    "WorkerSnapshot",
    "WorkerState",
]

MAX_ATTEMPTS = 3
"""Failed attempts at one tile since it last advanced, or at preparing, that fail the job."""

PREPARING_AT_ONCE = 2
"""Jobs that workers of one device prepare at a time: the one to run, and the one after it."""

_Report = JobPrepared | PrepareFailed | TileDone | TileFailed | ArraysLost

_ENDED_KEPT = 100  # so that a cancellation that races with a job's end is told from a wrong id
_QUOTED = 200  # characters of an error or event in a history


class IllegalTransition(RuntimeError):
    """An event that the table does not allow: a fault of whoever sent it. Nothing was changed.

    Attributes:
        event: The event.
        story: What happened to its job and its worker before, oldest first.
    """

    def __init__(self, why: str, event: Event, story: tuple[str, ...]) -> None:
        lines = "".join(f"\n  {line}" for line in story) or "\n  (nothing is known of it)"
        cause = f" [{event.stimulus_id}]" if event.stimulus_id else ""
        super().__init__(f"{why}: {repr(event)[:_QUOTED]}{cause}; before it:{lines}")
        self.event = event
        self.story = story


class InconsistentState(RuntimeError):
    """What the scheduler keeps contradicts itself: a fault of the scheduler."""


class Scheduler:
    """The machine of this module's table. Not thread-safe; every method returns at once.

    An event costs a time that does not grow with the number of workers or tiles. Memory holds the
    live workers, the unfinished jobs with their missing tiles, and a bounded number of ended jobs.
    """

    def __init__(self) -> None:
        self._pool = WorkerPool()
        self._jobs: dict[str, Job] = {}  # not ended
        self._ended: OrderedDict[str, Job] = OrderedDict()  # the last few
        self._admitted = 0
        # By the device that they are pinned to: exactly the jobs with wants_workers, and those
        # with wants_preparing.
        self._runnable: defaultdict[str | None, JobsByAge] = defaultdict(JobsByAge)
        self._unprepared: defaultdict[str | None, JobsByAge] = defaultdict(JobsByAge)
        self._preparing: Counter[str] = Counter()  # workers that prepare, by device
        self._instructions: list[Instruction] = []
        self._stimulus = ""  # the event that is taken in

    def handle(self, event: Event) -> list[Instruction]:
        """Take in one event and say what is to be done about it.

        Args:
            event: What happened.

        Returns:
            The instructions, in the order in which to carry them out, each with the event's
            `stimulus_id`.

        Raises:
            IllegalTransition: The event does not fit the table; nothing was changed.
        """
        self._stimulus = event.stimulus_id
        match event:
            case JobAdmitted() | TilesAdded() | JobCancelled() | JobRefused():
                self._hear_of_job(event)
            case CapacityChanged() | WorkerReady() | WorkerDied() | DispatcherLost():
                self._hear_of_cluster(event)
            case JobPrepared() | PrepareFailed() | TileDone() | TileFailed() | ArraysLost():
                self._hear_of_work(event)
            case TileAdvanced():
                self._advance_tile(event)
            case _:
                assert_never(event)
        self._instructions += self._pool.fit(self._stimulus)
        self._give_work()
        instructions, self._instructions = self._instructions, []
        return instructions

    # What the coordinator may ask.

    @property
    def capacity(self) -> int:
        """How many workers there should be."""
        return self._pool.capacity

    def workers(self) -> tuple[WorkerSnapshot, ...]:
        """Every worker that is not dead, in the order of their start."""
        return self._pool.snapshots()

    def job_state(self, job_id: str) -> JobState | None:
        """The job's state; None if it is unknown, or ended long ago."""
        job = self._find(job_id)
        return job.state if job else None

    def pending(self, job_id: str) -> int:
        """How many tiles of the job wait for a worker; 0 for one unknown or ended."""
        job = self._find(job_id)
        return len(job.pending) if job else 0

    def in_flight(self, job_id: str) -> tuple[int, ...]:
        """The tiles that workers evaluate now, also those of a job that has just ended."""
        job = self._find(job_id)
        return tuple(job.in_flight) if job else ()

    def validate_state(self) -> None:
        """Check that all that is kept fits together; for tests, after each event.

        It takes a time that grows with everything that is kept.

        Raises:
            InconsistentState: There is a fault in this class.
        """
        faults = [*self._pool.faults(), *self._faults_of_work()]
        for job in self._jobs.values():
            faults += [f"{job.job_id}: {fault}" for fault in self._faults_of(job)]
        if faults:
            raise InconsistentState("; ".join(faults))

    def _faults_of_work(self) -> Iterator[str]:
        """What the workers' assignments say otherwise than the jobs and the counts."""
        preparing: Counter[str] = Counter()
        for name, told in self._pool.busy().items():
            worker, job = self._pool.get(name), told.job
            if told.tile is None:
                preparing[worker.device or "" if worker else ""] += 1
            held = job.prepared_by if told.tile is None else job.in_flight.get(told.tile)
            if held != name:
                yield f"{name} works on {told.tile} of {job.job_id}, which is with {held}"
        if preparing != +self._preparing:
            yield f"preparing by device: {preparing}, counted were {self._preparing}"
        for lists in (self._runnable, self._unprepared):
            listed = sum(map(len, lists.values()))
            wanted = sum(job in lists[job.device] for job in self._jobs.values())
            if listed != wanted:
                yield f"{listed} jobs are listed, {wanted} of them in the right place"

    def _faults_of(self, job: Job) -> Iterator[str]:
        """What a job that has not ended says otherwise than the rest."""
        busy = self._pool.busy()
        if job.has_ended:
            yield f"is {job.state.value} among those that have not ended"
        if twice := set(job.pending) & set(job.in_flight):
            yield f"tiles {twice} are pending and in flight"
        if len(set(job.pending)) != len(job.pending):
            yield "a tile is pending twice"
        if not job.pending and not job.in_flight:
            yield "has no tile left"
        for worker in {*job.in_flight.values(), *filter(None, [job.prepared_by])} - set(busy):
            yield f"is with {worker}, which is not busy"
        used_up = [tile for tile, failed in job.attempts.items() if failed >= MAX_ATTEMPTS]
        if used_up or job.prepare_attempts >= MAX_ATTEMPTS:
            yield f"goes on with its attempts used up (tiles {used_up})"
        if (job in self._runnable[job.device]) != job.wants_workers:
            yield "is not listed as its want of workers has it"
        if (job in self._unprepared[job.device]) != job.wants_preparing:
            yield "is not listed as its want of preparing has it"

    # Jobs.

    def _hear_of_job(self, event: JobAdmitted | TilesAdded | JobCancelled | JobRefused) -> None:
        if isinstance(event, JobAdmitted):
            self._admit(event)
            return
        job = self._find(event.job_id)
        if job is None:
            raise self._illegal("no such job", event)
        if job.has_ended:
            return
        match event:
            case TilesAdded(tiles=tiles):
                self._add_tiles(job, event, tiles)
            case JobCancelled():
                self._end(job, JobState.CANCELLED)
            case JobRefused(error=error):
                self._fail(job, None, error, 0, input_error=True)

    def _add_tiles(self, job: Job, event: TilesAdded, tiles: tuple[int, ...]) -> None:
        if len({*tiles, *job.pending, *job.in_flight}) < sum(
            map(len, (tiles, job.pending, job.in_flight))
        ):
            raise self._illegal("a tile stands there twice", event)
        job.pending.extend(tiles)
        self._note(job.history, f"{len(tiles)} more tiles")
        self._list(job)

    def _admit(self, event: JobAdmitted) -> None:
        if event.job_id in self._jobs:
            raise self._illegal("the job is admitted already", event)
        if len(set(event.tiles)) < len(event.tiles):
            raise self._illegal("a tile stands there twice", event)
        self._ended.pop(event.job_id, None)
        self._admitted += 1
        job = Job(
            age=self._admitted,
            job_id=event.job_id,
            device=event.device,
            pending=deque(event.tiles),
            attempts={tile: event.attempts[tile] for tile in event.tiles if tile in event.attempts},
            prepare_attempts=event.prepare_attempts,
        )
        self._note(job.history, f"admitted with {len(event.tiles)} tiles, device {event.device}")
        self._jobs[job.job_id] = job
        if not self._end_where_nothing_is_left(job):
            self._list(job)

    def _end_where_nothing_is_left(self, job: Job) -> bool:
        """End a job whose last life got to its end without saying so; return whether it did."""
        used_up = [tile for tile, failed in job.attempts.items() if failed >= MAX_ATTEMPTS]
        lost = "the last error is not known: it came before a restart"
        if not job.pending:
            self._complete(job)
        elif used_up:
            self._fail(job, used_up[0], lost, job.attempts[used_up[0]])
        elif job.prepare_attempts >= MAX_ATTEMPTS:
            self._fail(job, None, lost, job.prepare_attempts)
        return job.has_ended

    def _complete(self, job: Job) -> None:
        self._instructions.append(CompleteJob(job.job_id, stimulus_id=self._stimulus))
        self._end(job, JobState.COMPLETED)

    def _fail(
        self, job: Job, tile: int | None, error: str, attempts: int, *, input_error: bool = False
    ) -> None:
        self._instructions.append(
            FailJob(job.job_id, tile, error, attempts, input_error, stimulus_id=self._stimulus)
        )
        self._end(job, JobState.FAILED)

    def _end(self, job: Job, state: JobState) -> None:
        job.state = state
        self._note(job.history, state.value)
        job.pending.clear()
        job.attempts.clear()
        self._list(job)
        if job.on_cluster:
            self._instructions.append(DropJob(job.job_id, stimulus_id=self._stimulus))
        self._ended[job.job_id] = self._jobs.pop(job.job_id)
        if len(self._ended) > _ENDED_KEPT:
            self._ended.popitem(last=False)

    def _list(self, job: Job) -> None:
        """Put the job on exactly the lists where it now belongs."""
        self._runnable[job.device].keep(job, job.wants_workers)
        self._unprepared[job.device].keep(job, job.wants_preparing)

    # Workers and the cluster.

    def _hear_of_cluster(
        self, event: CapacityChanged | WorkerReady | WorkerDied | DispatcherLost
    ) -> None:
        match event:
            case CapacityChanged(workers):
                if workers < 0:
                    raise self._illegal("the capacity is below zero", event)
                self._pool.capacity = workers
            case WorkerReady():
                self._welcome(event)
            case WorkerDied():
                self._bury(event)
            case DispatcherLost():
                self._lose_everything()

    def _welcome(self, event: WorkerReady) -> None:
        worker = self._reporter(event)
        if worker is None:
            return
        if worker.device is not None:
            raise self._illegal("the worker is ready already", event)
        self._pool.welcome(worker, event.device)
        self._note(worker.history, f"ready on {event.device}")

    def _bury(self, event: WorkerDied) -> None:
        worker = self._reporter(event)
        if worker is None:
            return
        told = self._release(worker)
        self._pool.bury(worker)
        if told is None or told.job.has_ended:
            return
        if event.counts:
            error = f"worker {worker.worker_id} died: {event.reason}"
            self._count_attempt(told.job, told.tile, error)
        else:
            self._take_back(told.job, told.tile)

    def _lose_everything(self) -> None:
        self._pool.bury_all()
        self._preparing.clear()
        for job in self._jobs.values():
            job.pending.extendleft(reversed(job.in_flight))
            job.in_flight.clear()
            job.prepared_by = None
            job.on_cluster = False
            self._note(job.history, "lost with the dispatcher")
            self._prepare_again(job)
        for job in self._ended.values():
            job.in_flight.clear()

    # Work.

    def _give_work(self) -> None:
        for device in list(self._pool.devices_with_idle()):
            while (job := self._oldest_job_for(device)) and self._serve(job, device):
                self._list(job)

    def _oldest_job_for(self, device: str) -> Job | None:
        choices = [self._runnable[device].oldest()]
        if self._preparing[device] < PREPARING_AT_ONCE:
            choices += [self._unprepared[device].oldest(), self._unprepared[None].oldest()]
        return min((job for job in choices if job), key=lambda job: job.age, default=None)

    def _serve(self, job: Job, device: str) -> bool:
        """Give an idle worker of the device the job's next work; False if none is idle."""
        tile = job.pending[0] if job.state is JobState.RUNNING else None
        told = Assignment(job, tile, job.preparings)
        worker = self._pool.assign_longest_idle(device, told)
        if worker is None:
            return False
        if tile is None:
            self._tell_to_prepare(worker, device, job)
        else:
            self._tell_to_run(worker, job, tile)
        return True

    def _tell_to_run(self, worker: Worker, job: Job, tile: int) -> None:
        job.pending.popleft()
        job.in_flight[tile] = worker.worker_id
        attempt = job.attempts.get(tile, 0) + 1
        self._note(worker.history, f"told to run tile {tile} of {job.job_id}, attempt {attempt}")
        self._instructions.append(
            RunTile(job.job_id, tile, worker.worker_id, attempt, stimulus_id=self._stimulus)
        )

    def _tell_to_prepare(self, worker: Worker, device: str, job: Job) -> None:
        attempt = job.prepare_attempts + 1
        job.prepared_by = worker.worker_id
        job.on_cluster = True
        self._preparing[device] += 1
        self._note(worker.history, f"told to prepare {job.job_id}, attempt {attempt}")
        self._note(job.history, f"attempt {attempt} at preparing, by {worker.worker_id}")
        if job.state is JobState.QUEUED:
            self._mark_preparing(job)
        self._instructions.append(
            PrepareJob(job.job_id, worker.worker_id, attempt, stimulus_id=self._stimulus)
        )

    def _mark_preparing(self, job: Job) -> None:
        job.state = JobState.PREPARING
        self._instructions.append(MarkPreparing(job.job_id, stimulus_id=self._stimulus))

    def _hear_of_work(self, event: _Report) -> None:
        worker = self._reporter(event)
        if worker is None:
            return
        if not _was_told(worker, event):
            raise self._illegal("the worker was not told to do that", event)
        told = self._release(worker)
        self._note(worker.history, repr(event)[:_QUOTED])
        if told is None or told.job.has_ended:
            self._absorb(event)
            return
        match event:
            case JobPrepared():
                self._run(told.job, event.device)
            case PrepareFailed(_, _, error, final):
                self._count_attempt(told.job, None, error, final=final)
            case TileDone(_, tile):
                self._finish_tile(told.job, tile)
            case TileFailed(_, tile, _, error):
                self._count_attempt(told.job, tile, error)
            case ArraysLost():
                self._lose_arrays(told)

    def _advance_tile(self, event: TileAdvanced) -> None:
        worker = self._reporter(event)
        if worker is None:
            return
        told = worker.assignment
        if told is None or not _was_told(worker, event):
            raise self._illegal("the worker was not told to do that", event)
        if told.job.attempts.pop(event.tile, None):
            self._note(told.job.history, f"tile {event.tile} got further: its attempts count anew")

    def _release(self, worker: Worker) -> Assignment | None:
        """Make a busy worker idle; return what it was told to do, or None if it was not busy."""
        told = self._pool.release(worker)
        if told is None or worker.device is None:
            return None
        if told.tile is None:
            told.job.prepared_by = None
            self._preparing[worker.device] -= 1
        else:
            told.job.land(told.tile)
        return told

    def _absorb(self, event: _Report) -> None:
        """See to it that arrays which came after their job's end go too."""
        if not isinstance(event, JobPrepared):
            return
        successor = self._jobs.get(event.job_id)
        if successor is None:
            self._instructions.append(DropJob(event.job_id, stimulus_id=self._stimulus))
        else:
            successor.on_cluster = True

    def _run(self, job: Job, device: str) -> None:
        job.device = device
        job.state = JobState.RUNNING
        job.prepare_attempts = 0
        job.preparings += 1
        self._note(job.history, f"prepared on {device}")
        self._list(job)
        self._instructions.append(MarkRunning(job.job_id, stimulus_id=self._stimulus))

    def _finish_tile(self, job: Job, tile: int) -> None:
        job.attempts.pop(tile, None)
        if not job.pending and not job.in_flight:
            self._complete(job)

    def _lose_arrays(self, told: Assignment) -> None:
        """Prepare again, unless these arrays are older than the job's present ones."""
        self._take_back(told.job, told.tile)
        if told.preparings == told.job.preparings:
            self._note(told.job.history, "its arrays were lost")
            self._prepare_again(told.job)

    def _prepare_again(self, job: Job) -> None:
        if job.state is JobState.RUNNING:
            self._mark_preparing(job)
        self._list(job)

    def _take_back(self, job: Job, tile: int | None) -> None:
        """Requeue unfinished work; a tile comes first."""
        if tile is not None:
            job.pending.appendleft(tile)
        self._list(job)

    def _count_attempt(
        self, job: Job, tile: int | None, error: str, *, final: bool = False
    ) -> None:
        attempts = 1 + (job.prepare_attempts if tile is None else job.attempts.get(tile, 0))
        what = "preparing" if tile is None else f"tile {tile}"
        self._note(job.history, f"attempt {attempts} at {what} failed: {error[:_QUOTED]}")
        if final or attempts >= MAX_ATTEMPTS:
            self._fail(job, tile, error, attempts, input_error=final)
            return
        if tile is None:
            job.prepare_attempts = attempts
        else:
            job.attempts[tile] = attempts
        self._take_back(job, tile)

    def _note(self, history: deque[str], line: str) -> None:
        history.append(f"{line} [{self._stimulus}]" if self._stimulus else line)

    # What an event speaks of.

    def _find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id) or self._ended.get(job_id)

    def _reporter(self, event: WorkerReady | WorkerDied | TileAdvanced | _Report) -> Worker | None:
        """The worker that an event names; None if it is dead."""
        worker = self._pool.get(event.worker_id)
        if worker is None and not self._pool.was_named(event.worker_id):
            raise self._illegal("no such worker", event)
        if worker and worker.device is None and not isinstance(event, WorkerReady | WorkerDied):
            raise self._illegal("the worker is not ready", event)
        return worker

    def _illegal(self, why: str, event: Event) -> IllegalTransition:
        story: list[str] = []
        job = self._find(getattr(event, "job_id", ""))
        if job is not None:
            story += [f"{job.job_id}: {line}" for line in job.history]
        worker = self._pool.get(getattr(event, "worker_id", ""))
        if worker is not None:
            story += [f"{worker.worker_id}: {line}" for line in worker.history]
        return IllegalTransition(why, event, tuple(story))


def _was_told(worker: Worker, event: _Report | TileAdvanced) -> bool:
    """Whether a report answers what its worker was told to do."""
    told = worker.assignment
    if told is None or told.job.job_id != event.job_id:
        return False
    match event:
        case JobPrepared():
            return told.tile is None and worker.device == event.device
        case PrepareFailed():
            return told.tile is None
        case TileDone() | TileFailed() | TileAdvanced():
            return told.tile == event.tile
        case ArraysLost():
            return told.tile is not None
