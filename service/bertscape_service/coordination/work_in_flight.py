"""What the coordinator remembers of unfinished jobs; gone with the process."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bertscape.results import tiles_to_follow
from bertscape.spec import JobSpec
from bertscape.values import LogEntry, Pins, Problem
from bertscape_service.journal import JobRow, TileRow

_RECENT_TILES = 64  # that an estimate looks back on


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens to a job at this moment; gone with the process."""

    workers: int = 0  # working on it now
    eta_seconds: float | None = None
    stage: tuple[str, int, int] | None = None  # of preparing or training: words, done, total
    latest: LogEntry | None = None  # of a training: the last of each number that was measured


IDLE = Activity()


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
        numbers: Of the tiles that are done, if further rounds may follow them.
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
    numbers: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, row: JobRow, tiles: Iterable[TileRow] = ()) -> "UnfinishedWork":
        """What is known of a job from the journal; `tiles` as of `UnfinishedJob`."""
        left = row.tiles_total - row.tiles_done
        numbers = {tile.tile: tile.numbers for tile in tiles}
        return cls(row.id, row.spec, row.tile_points, left, row.findings, numbers=numbers)

    def shape_of(self, tile: int) -> tuple[int, int]:
        """The shape of the tile's numbers: points (0 if there is no such tile), numbers of each."""
        number, index = self.spec.round_of(tile, self.tile_points)
        left = self.spec.point_count - index * self.tile_points
        points = min(self.tile_points, left) if number == 0 or self.spec.sharpens else 0
        return points, len(self.spec.number_names)

    def place_of(self, tile: int) -> str:
        """The tile and the coordinates of its points, for people."""
        return self.spec.describe_tile(tile, self.tile_points)

    def gave(self, tile: int, numbers: NDArray[np.float64], seconds: float) -> None:
        """A tile's numbers have come, after so long."""
        self.tiles_left -= 1
        self.seconds.append(seconds)
        if self.spec.sharpens:
            self.numbers[tile] = numbers

    def begin_round(self) -> tuple[int, ...]:
        """The tiles of the round that begins now; none if none does."""
        if self.tiles_left or not self.spec.sharpens:
            return ()
        tiles = tiles_to_follow(self.spec, self.pins, self.tile_points, self.numbers.items())
        self.tiles_left += len(tiles)
        if tiles:
            self.seconds.clear()  # they have other examples
        return tiles

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
        if self.spec.trains and self.stage is not None:
            eta = self._training_left(*self.stage)
        return Activity(workers, eta, self.stage, self.latest)

    def _training_left(self, _: str, done: int, total: int) -> float | None:
        """Seconds, at the pace since this attempt began."""
        began, before = self.stage_began
        if done <= before:
            return None
        return (total - done) * (time.monotonic() - began) / (done - before)
