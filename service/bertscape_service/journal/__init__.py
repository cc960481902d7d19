"""Everything that the service promises not to lose, in one SQLite file.

Touches that file alone. It knows the states of a job from `scheduling`.
"""

from bertscape_service.journal.journal import Journal
from bertscape_service.journal.rows import (
    Added,
    AttemptRow,
    EstimatedWork,
    JobRow,
    MeasuredRate,
    NewJob,
    Outcome,
    RateKey,
    Results,
    RunFacts,
    Stage,
    TileRow,
    UnfinishedJob,
)

__all__ = [
    "Added",
    "AttemptRow",
    "EstimatedWork",
    "JobRow",
    "Journal",
    "MeasuredRate",
    "NewJob",
    "Outcome",
    "RateKey",
    "Results",
    "RunFacts",
    "Stage",
    "TileRow",
    "UnfinishedJob",
]
