"""Everything that the service promises not to lose, in one SQLite file.

Touches that file alone. It knows the states of a job from `scheduling`.
"""

from bertscape_service.journal.journal import Journal
from bertscape_service.journal.rows import (
    Added,
    AttemptRow,
    JobRow,
    NewJob,
    Outcome,
    Results,
    RunFacts,
    TileRow,
    UnfinishedJob,
)

__all__ = [
    "Added",
    "AttemptRow",
    "JobRow",
    "Journal",
    "NewJob",
    "Outcome",
    "Results",
    "RunFacts",
    "TileRow",
    "UnfinishedJob",
]
