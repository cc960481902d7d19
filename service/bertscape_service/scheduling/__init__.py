"""Which tile runs where: a synchronous state machine, events in and instructions out.

Pure. No I/O, no clock, no thread, no Ray; knows no other room of this package.
"""

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
    KillWorker,
    MarkPreparing,
    MarkRunning,
    PrepareJob,
    RunTile,
    StartWorker,
)
from bertscape_service.scheduling.scheduled_jobs import JobState
from bertscape_service.scheduling.scheduler import Scheduler, WorkerSnapshot, WorkerState

__all__ = [
    "ArraysLost",
    "CapacityChanged",
    "CompleteJob",
    "DispatcherLost",
    "DropJob",
    "Event",
    "FailJob",
    "Instruction",
    "JobAdmitted",
    "JobCancelled",
    "JobPrepared",
    "JobRefused",
    "JobState",
    "KillWorker",
    "MarkPreparing",
    "MarkRunning",
    "PrepareFailed",
    "PrepareJob",
    "RunTile",
    "Scheduler",
    "StartWorker",
    "TileAdvanced",
    "TileDone",
    "TileFailed",
    "TilesAdded",
    "WorkerDied",
    "WorkerReady",
    "WorkerSnapshot",
    "WorkerState",
]
