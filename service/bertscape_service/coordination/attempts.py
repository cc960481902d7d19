"""The ledger of attempts: which worker was told what, and how that ended, as the journal has it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bertscape_service.coordination.subscriptions import Commits
from bertscape_service.coordination.work_in_flight import UnfinishedWork
from bertscape_service.journal import AttemptRow, Journal, Outcome, TileRow
from bertscape_service.ray_cluster import TileResult
from bertscape_service.scheduling import PrepareJob, RunTile, TileAdvanced


@dataclass(frozen=True, slots=True)
class Told:
    """What a busy worker was told to do."""

    job_id: str
    tile: int | None  # None: prepare
    attempt: int
    started: float  # Unix time, seconds

    @classmethod
    def by(cls, instruction: PrepareJob | RunTile) -> "Told":
        """By this instruction, just now."""
        tile = instruction.tile if isinstance(instruction, RunTile) else None
        return cls(instruction.job_id, tile, instruction.attempt, time.time())

    def ended(self, worker: str, device: str, outcome: Outcome, error: str | None) -> AttemptRow:
        """The attempt, ended just now."""
        seconds = max(0.0, time.time() - self.started)
        return AttemptRow(
            self.tile, self.attempt, worker, device, outcome, self.started, seconds, error
        )


class BusyWorkers:
    """Devices of the workers that are ready, and what each was told to do."""

    def __init__(self) -> None:
        self._devices: dict[str, str] = {}
        self._told: dict[str, Told] = {}
        self._by_job: dict[str, int] = {}

    def welcome(self, worker: str, device: str) -> None:
        """A worker is ready."""
        self._devices[worker] = device

    def device_of(self, worker: str) -> str:
        """Its device's model; empty if it is not known."""
        return self._devices.get(worker, "")

    def tell(self, worker: str, told: Told) -> None:
        """A worker was told to do something."""
        self._told[worker] = told
        self._by_job[told.job_id] = self._by_job.get(told.job_id, 0) + 1

    def told(self, worker: str) -> Told | None:
        """What it was told to do; None if it is not busy."""
        return self._told.get(worker)

    def release(self, worker: str) -> Told | None:
        """It is done with what it was told to do, which is returned."""
        told = self._told.pop(worker, None)
        if told is not None:
            self._by_job[told.job_id] -= 1
            if not self._by_job[told.job_id]:
                del self._by_job[told.job_id]
        return told

    def bury(self, worker: str) -> None:
        """It is dead."""
        self._devices.pop(worker, None)
        self.release(worker)

    def names(self) -> tuple[str, ...]:
        """The busy ones."""
        return tuple(self._told)

    def count(self, job_id: str) -> int:
        """How many work for the job."""
        return self._by_job.get(job_id, 0)

    def forget_all(self) -> None:
        """The dispatcher is lost, and every worker with it."""
        self._devices.clear()
        self._told.clear()
        self._by_job.clear()


class Attempts:
    """What workers were told to do, and the outcome.

    An attempt at a job that has ended is not written down. Every method belongs on the event
    loop's thread.

    Args:
        journal: takes each attempt once it has ended.
        commits: tells who follows a job.
        jobs: the jobs that have not ended; the coordinator changes it.
    """

    def __init__(
        self, journal: Journal, commits: Commits, jobs: Mapping[str, UnfinishedWork]
    ) -> None:
        self._journal = journal
        self._commits = commits
        self._jobs = jobs
        self._busy = BusyWorkers()

    def welcome(self, worker: str, device: str) -> None:
        """A worker is ready, on this device."""
        self._busy.welcome(worker, device)

    def begin(self, instruction: PrepareJob | RunTile) -> None:
        """A worker is told to do this."""
        self._busy.tell(instruction.worker_id, Told.by(instruction))

    def count(self, job_id: str) -> int:
        """How many workers are at work for the job."""
        return self._busy.count(job_id)

    def runs(self, worker: str, job_id: str, tile: int) -> bool:
        """Whether the worker was told to run this tile, and has not reported on it."""
        told = self._busy.told(worker)
        return told is not None and (told.job_id, told.tile) == (job_id, tile)

    def end(self, worker: str, outcome: Outcome, error: str | None = None) -> None:
        """What the worker was told to do has ended, without the numbers of a tile."""
        told = self._busy.release(worker)
        if told is not None and (job := self._jobs.get(told.job_id)) is not None:
            if told.tile is None or job.spec.trains:
                job.leave_stage()
            self._write(worker, told, outcome, error)

    def release(self, worker: str) -> None:
        """What the worker was told to do is not wanted any more, or was written down."""
        self._busy.release(worker)

    def bury(self, worker: str, outcome: Outcome, reason: str) -> None:
        """A worker is dead, and with it what it was doing."""
        self.end(worker, outcome, f"the worker died: {reason}")
        self._busy.bury(worker)

    def lose_all(self, reason: str) -> None:
        """All workers are gone at once, which is no fault of what they did."""
        for worker in self._busy.names():
            self.end(worker, Outcome.LOST, reason)
        self._busy.forget_all()

    def keep(self, job: UnfinishedWork, result: TileResult) -> None:
        """The worker gave a tile's numbers: they are written down with the attempt."""
        told = self._busy.release(result.worker_id)
        if told is None:
            return
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
        kept = self._journal.add_tile(job.job_id, tile, attempt, result.output)
        self._commits.announce(job.job_id, kept)

    def advance(self, advance: TileAdvanced) -> bool:
        """A training has kept a checkpoint after failed attempts: they no longer count.

        Returns:
            Whether there were any. They do not count after a restart either, which is what is
            written down.
        """
        worker, told = advance.worker_id, self._busy.told(advance.worker_id)
        if told is None or not self.runs(worker, advance.job_id, advance.tile):
            return False  # it crossed with what ended that
        if told.attempt == 1 or advance.job_id not in self._jobs:
            return False
        self._write(worker, told, Outcome.DONE, None)
        self._busy.release(worker)
        self._busy.tell(worker, replace(told, attempt=1, started=time.time()))
        return True

    def _write(self, worker: str, told: Told, outcome: Outcome, error: str | None) -> None:
        attempt = told.ended(worker, self._busy.device_of(worker), outcome, error)
        written = self._journal.add_attempt(told.job_id, attempt)
        self._commits.announce(told.job_id, written)
