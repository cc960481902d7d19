"""The workers that are not dead: who starts, who is idle, and how many there should be."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from bertscape.values import backoff
from bertscape_service.scheduling.instructions import Instruction, KillWorker, StartWorker
from bertscape_service.scheduling.scheduled_jobs import Job

__all__ = [
    "MAX_START_DELAY_S",
    "Assignment",
    "Worker",
    "WorkerPool",
    "WorkerSnapshot",
    "WorkerState",
]

MAX_START_DELAY_S = 30.0
"""Seconds that the back-off between starts of workers never exceeds."""

_HISTORY = 16


class WorkerState(StrEnum):
    """The state of a worker; dead ones are not kept."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker as it is now.

    Attributes:
        worker_id: Its name.
        state: Starting, idle or busy.
        device: Its device's model; None while it starts.
        job_id: The job that it works on, or None.
        tile: The tile that it evaluates; None if it prepares, or is not busy.
    """

    worker_id: str
    state: WorkerState
    device: str | None
    job_id: str | None
    tile: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """What a busy worker was told to do. It holds the job itself: an id may be admitted again."""

    job: Job
    tile: int | None  # None: prepare the job
    preparings: int  # the job's count when it was told


@dataclass(slots=True, eq=False)
class Worker:
    """A worker that is not dead. Busy if it has an assignment, starting without a device."""

    worker_id: str
    device: str | None = None
    assignment: Assignment | None = None
    history: deque[str] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    @property
    def state(self) -> WorkerState:
        """Starting, idle or busy."""
        if self.device is None:
            return WorkerState.STARTING
        return WorkerState.IDLE if self.assignment is None else WorkerState.BUSY


class WorkerPool:
    """Every worker that is not dead. Each method takes a time that does not grow with their number.

    Attributes:
        capacity: How many workers there should be; `fit` says what to do about it.
    """

    def __init__(self) -> None:
        self.capacity = 0
        self._workers: dict[str, Worker] = {}
        self._named = 0  # worker ids count up and are never used again
        self._starting: dict[str, Worker] = {}
        # By device, the longest idle first.
        self._idle: defaultdict[str, OrderedDict[str, Worker]] = defaultdict(OrderedDict)
        self._failed_starts = 0  # deaths of starting workers since one was last ready

    def get(self, worker_id: str) -> Worker | None:
        """The worker of that name, or None if it is dead or never existed."""
        return self._workers.get(worker_id)

    def was_named(self, worker_id: str) -> bool:
        """Whether there is, or ever was, a worker of that name."""
        number = worker_id.removeprefix("w-")
        return number.isdecimal() and 1 <= int(number) <= self._named

    def snapshots(self) -> tuple[WorkerSnapshot, ...]:
        """Every worker as it is now, in the order of their start."""
        return tuple(_snapshot(worker) for worker in self._workers.values())

    def welcome(self, worker: Worker, device: str) -> None:
        """A starting worker is ready: it is idle, and the back-off ends."""
        del self._starting[worker.worker_id]
        self._failed_starts = 0
        worker.device = device
        self._idle[device][worker.worker_id] = worker

    def devices_with_idle(self) -> Iterator[str]:
        """The devices of the workers that have nothing to do."""
        return (device for device, idle in self._idle.items() if idle)

    def assign_longest_idle(self, device: str, assignment: Assignment) -> Worker | None:
        """Make the longest idle worker of a device busy; None if all of them are."""
        idle = self._idle[device]
        if not idle:
            return None
        worker = idle.popitem(last=False)[1]
        worker.assignment = assignment
        return worker

    def release(self, worker: Worker) -> Assignment | None:
        """Make a busy worker idle; return what it was told to do, or None if it was not busy."""
        told, worker.assignment = worker.assignment, None
        if told is not None and worker.device is not None:
            self._idle[worker.device][worker.worker_id] = worker
        return told

    def bury(self, worker: Worker) -> None:
        """Forget a starting or idle worker that died."""
        del self._workers[worker.worker_id]
        if worker.device is None:
            del self._starting[worker.worker_id]
            self._failed_starts += 1
        else:
            del self._idle[worker.device][worker.worker_id]

    def bury_all(self) -> None:
        """Forget all workers; nobody is wanted until the capacity is known again."""
        self.capacity = 0
        self._workers.clear()
        self._starting.clear()
        self._idle.clear()

    def fit(self, stimulus_id: str) -> list[Instruction]:
        """Kill or start workers to meet the capacity; busy ones are left to finish first."""
        instructions: list[Instruction] = []
        while len(self._workers) > self.capacity and (worker := self._pop_spare()):
            del self._workers[worker.worker_id]
            instructions.append(KillWorker(worker.worker_id, stimulus_id=stimulus_id))
        while len(self._workers) < self.capacity:
            instructions.append(self._start(stimulus_id))
        return instructions

    def faults(self) -> Iterator[str]:
        """What contradicts itself; nothing, or there is a fault in this class."""
        starting = {name for name, one in self._workers.items() if one.device is None}
        if starting != set(self._starting):
            yield f"starting workers are {starting}, kept are {set(self._starting)}"
        for device, idle in self._idle.items():
            found = {
                name
                for name, one in self._workers.items()
                if one.device == device and one.assignment is None
            }
            if found != set(idle):
                yield f"idle workers on {device} are {found}, kept are {set(idle)}"

    def busy(self) -> dict[str, Assignment]:
        """What each busy worker was told to do."""
        told = ((name, worker.assignment) for name, worker in self._workers.items())
        return {name: assignment for name, assignment in told if assignment is not None}

    def _pop_spare(self) -> Worker | None:
        """A worker that can go: one just idle, else the one that started last, else none."""
        for idle in self._idle.values():
            if idle:
                return idle.popitem()[1]
        return self._starting.popitem()[1] if self._starting else None

    def _start(self, stimulus_id: str) -> StartWorker:
        self._named += 1
        worker = Worker(f"w-{self._named}")
        self._workers[worker.worker_id] = self._starting[worker.worker_id] = worker
        delay_s = backoff(self._failed_starts, first=1.0, longest=MAX_START_DELAY_S)
        return StartWorker(worker.worker_id, delay_s, stimulus_id=stimulus_id)


def _snapshot(worker: Worker) -> WorkerSnapshot:
    told = worker.assignment
    job_id, tile = (told.job.job_id, told.tile) if told else (None, None)
    return WorkerSnapshot(worker.worker_id, worker.state, worker.device, job_id, tile)
