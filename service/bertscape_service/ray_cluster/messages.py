"""What crosses the pipe between the API process and the dispatcher.

Both ends run the same version of this package, so a message is a pickled frozen dataclass on a
`multiprocessing.connection.Connection`.

To the dispatcher: `DescribeJob` (before the first instruction that names the job), then the
scheduler's `DispatcherInstruction`s.

From the dispatcher: the messages below (`Farewell` goes no further than the link), and the
scheduler's events `WorkerReady`, `WorkerDied`, `TileFailed`, `TileAdvanced` and `ArraysLost` as
they are. The coordinator journals what must last, and hands the scheduler the event that a message
stands for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import LogEntry, Pins, Problem, TrainingOutput


@dataclass(frozen=True, slots=True)
class DescribeJob:
    """To the dispatcher: the job that later instructions name."""

    job_id: str
    spec: JobSpec  # absolute, with symbolic links resolved
    tile_points: int
    output: str  # the folder of what a fine-tuning leaves behind


@dataclass(frozen=True, slots=True)
class ClusterFound:
    """From the dispatcher, once Ray answers and whenever the cluster changes."""

    workers: int  # how many there should be
    memory_per_worker: int  # bytes that one worker may use, of its device's memory
    object_store: int  # bytes of one node's object store
    threads: int  # per worker
    ray_version: str
    dashboard: str | None = None


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """From the dispatcher: how far preparing, or a fine-tuning, is."""

    job_id: str
    stage: str  # one or two words, as in "reading checkpoints"
    done: int
    total: int
    latest: LogEntry | None = None  # of a fine-tuning: the last of each number that was measured


@dataclass(frozen=True, slots=True)
class PrepareDone:
    """From the dispatcher; becomes `JobPrepared`, after a `JobRefused` if the pins differ."""

    job_id: str
    worker_id: str
    device: str
    findings: Pins


@dataclass(frozen=True, slots=True)
class PrepareRefused:
    """From the dispatcher: preparing failed; becomes `PrepareFailed`."""

    job_id: str
    worker_id: str
    problem: Problem
    final: bool  # the input is wrong: another attempt would not help


@dataclass(frozen=True, slots=True)
class TileResult:
    """From the dispatcher; becomes `TileDone`."""

    job_id: str
    tile: int
    worker_id: str
    attempt: int
    device: str
    numbers: NDArray[np.float64]  # (points of the tile, numbers of each), as the spec names them
    started: float  # Unix time, seconds
    seconds: float  # of evaluation in the worker
    output: TrainingOutput | None = None  # of a fine-tuning


@dataclass(frozen=True, slots=True)
class TileRefused:
    """From the dispatcher: a tile failed by a wrong input; another attempt would not help.

    Becomes `JobRefused`, and then a `TileFailed` that frees the worker.
    """

    job_id: str
    tile: int
    worker_id: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Farewell:
    """From the dispatcher, its last word: why it ends. The link tells it to whoever learns that."""

    reason: str
