"""What the coordinator remembers of unfinished jobs and busy workers; gone with the process."""

import time
from collections import deque
from dataclasses import dataclass, field

from bertscape.spec import FinetuneSpec, JobSpec, LandscapeSpec
from bertscape.values import LogEntry, Pins, Problem
from bertscape_service.coordination.job_view import Activity
from bertscape_service.journal import (
    AttemptRow,
    JobRow,
    Outcome,
)
from bertscape_service.scheduling import (
    PrepareJob,
    RunTile,
)

_RECENT_TILES = 64  # that an estimate looks back on


@dataclass(slots=True, eq=False)
class UnfinishedWork:
    """A job that has not ended.

    Attributes:
        job_id: The job.
        spec: What was asked for.
        tile_points: How many points its tiles hold at most.
        pins: What its first preparing found; None before.
        stage: How far preparing or training is, while one of them is under way.
        latest: The last of each number that a training measured.
        stage_began: When that stage was first seen, and how much was done then.
        problem: What preparing found wrong, for the failure that follows.
        tiles_left: Tiles whose numbers have not come.
        seconds: How long the last few tiles took.
    """

    job_id: str
    spec: JobSpec
    tile_points: int
    tiles_left: int
    pins: Pins | None = None
    stage: tuple[str, int, int] | None = None
    latest: LogEntry | None = None
    stage_began: tuple[float, int] = (0.0, 0)
    problem: Problem | None = None
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT_TILES))

    @classmethod
    def of(cls, row: JobRow) -> "UnfinishedWork":
        """What is known of a job from the journal."""
        left = row.tiles_total - row.tiles_done
        return cls(row.id, row.spec, row.tile_points, left, row.findings)

    def points_in(self, tile: int) -> int:
        """How many points the tile holds; 0 where the grid has no such tile."""
        return min(self.tile_points, max(0, self.spec.point_count - tile * self.tile_points))

    def place_of(self, tile: int) -> str:
        """The tile and the coordinates of its points, for people."""
        points = self.spec.tiles(self.tile_points)[tile].points
        if isinstance(self.spec, FinetuneSpec):
            return "the training"
        if not isinstance(self.spec, LandscapeSpec):
            return f"tile {tile} (of the {self.spec.kind})"
        places = [f"({x:g}, {y:g})" for x, y in self.spec.coordinates(points)]
        shown = ", ".join(places[:8]) + (" …" if len(places) > 8 else "")
        return f"tile {tile} (α, β = {shown})"

    def enter(self, stage: tuple[str, int, int], latest: LogEntry | None) -> None:
        """Preparing or training is that far."""
        if self.stage is None or self.stage[0] != stage[0]:
            self.stage_began = (time.monotonic(), stage[1])
        self.stage, self.latest = stage, latest

    def leave_stage(self) -> None:
        """Nobody prepares or trains."""
        self.stage = self.latest = None

    def activity(self, workers: int) -> Activity:
        """What happens to it now, with so many workers on it."""
        eta = None
        if workers and self.seconds and self.stage is None:
            eta = self.tiles_left * (sum(self.seconds) / len(self.seconds)) / workers
        if isinstance(self.spec, FinetuneSpec) and self.stage is not None:
            eta = self._training_left(*self.stage)
        return Activity(workers, eta, self.stage, self.latest)

    def _training_left(self, _: str, done: int, total: int) -> float | None:
        """Seconds, at the pace since this attempt began."""
        began, before = self.stage_began
        if done <= before:
            return None
        return (total - done) * (time.monotonic() - began) / (done - before)


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

    def ended(
        self, worker: str, device: str, outcome: Outcome, error: str | None = None
    ) -> AttemptRow:
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
        """Its device's model; empty where it is not known."""
        return self._devices.get(worker, "")

    def tell(self, worker: str, told: Told) -> None:
        """A worker was told to do something."""
        self._told[worker] = told
        self._by_job[told.job_id] = self._by_job.get(told.job_id, 0) + 1

    def told(self, worker: str) -> Told | None:
        """What it was told to do, or None where it is not busy."""
        return self._told.get(worker)

    def release(self, worker: str) -> Told | None:
        """It is done with what it was told to do, which is returned."""
        told = self._told.pop(worker, None)
        if told is not None:
            self._by_job[told.job_id] -= 1
            if not self._by_job[told.job_id]:
                del self._by_job[told.job_id]
        return told

    def bury(self, worker: str) -> Told | None:
        """It is dead; what it was told to do is returned."""
        self._devices.pop(worker, None)
        return self.release(worker)

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
