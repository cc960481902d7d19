"""What the journal holds, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import Pins, Problem, TrainingOutput
from bertscape_service.scheduling import JobState

ACTIVE = (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING)
"""The states of a job that has not ended."""


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"  # of a training also one that has kept a checkpoint, after others had failed
    FAILED = "failed"  # counts towards the attempts that fail the job
    LOST = "lost"  # the node, Ray or the dispatcher went: does not count


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that was admitted and waits to be written down."""

    id: str
    spec: JobSpec
    tile_points: int
    body_sha256: str  # of the submitted body, so that a repeated key can be judged
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """On what a job runs; outside the promise that results do not depend on the run."""

    workers: int
    threads: int  # per worker
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EstimatedWork:
    """What a job was estimated to take at its submission: FLOPs, and seconds."""

    seconds: float | None  # None: no rate was known
    model: str | None = None  # family and sizes; None: no formula was known, nor any FLOPs
    preparing: float = 0.0  # FLOPs by one worker
    once: float = 0.0  # by each worker, at its first point
    each: float = 0.0  # of a point; of a training, of a step
    count: int = 0  # points or steps


Stage = Literal["preparing", "points", "steps"]


@dataclass(frozen=True, slots=True)
class RateKey:
    """What decides how fast workers are, beside the stage."""

    device: str  # model name
    threads: int  # per worker
    precision: str  # as the spec asks for it
    model: str  # family and sizes


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """How long one stage of a completed job took."""

    stage: Stage
    flops: float  # of the whole stage; 0 if they do not take the time
    count: int  # points or steps; 1 of preparing
    seconds: float  # that workers worked, added up
    evaluator: str | None = None  # None of a training


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as it was committed."""

    number: int  # the order of submission
    id: str
    state: JobState
    spec: JobSpec
    spec_values: Mapping[str, Any]  # the spec as plain JSON values
    unread: Problem | None  # why this version refuses the spec, which another one took
    tile_points: int
    points_total: int
    tiles_total: int
    points_done: int
    tiles_done: int
    revision: int  # another one, another surface file
    created: float  # Unix time, seconds
    updated: float
    findings: Pins | None
    run: RunFacts | None
    error: Problem | None
    output: TrainingOutput | None = None  # of a fine-tuning that is done
    estimate: EstimatedWork | None = None  # None until it is made
    taken: float | None = None  # seconds from the first attempt to the last point; of a done job

    @property
    def has_ended(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self.state not in ACTIVE


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt that ended; `tile` None is one at preparing."""

    tile: int | None
    attempt: int  # from 1
    worker: str
    device: str
    outcome: Outcome
    started: float  # Unix time, seconds
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TileRow:
    """A tile's numbers, (points of the tile, numbers of each) float64 as the spec names them."""

    tile: int
    numbers: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Added:
    """What came of a submission."""

    job: JobRow
    created: bool  # False: the idempotency key was used before
    same_body: bool  # whether the key's earlier body was the same


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """A job to carry on with after a restart."""

    row: JobRow
    missing: tuple[int, ...]  # tiles, in the order to run them
    failed_attempts: Mapping[int, int]  # by missing tile, since it last advanced
    prepare_attempts: int  # failed ones since preparing last succeeded
    tiles: tuple[TileRow, ...] = ()  # that are done, if further rounds may follow them


@dataclass(frozen=True, slots=True)
class Results:
    """All that a surface is made from, read at one moment."""

    row: JobRow
    tiles: tuple[TileRow, ...]
    attempts: tuple[AttemptRow, ...]
