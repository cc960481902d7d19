"""Loss landscapes of fine-tuned BERT models: job specs, surfaces, and the client of a service.

>>> import bertscape  # doctest: +SKIP
>>> with bertscape.Client() as client:
...     surface = client.submit("spec.yaml").wait().surface()
"""

from bertscape.client import Client
from bertscape.connection import version as _version
from bertscape.errors import (
    BertscapeError,
    InvalidInput,
    JobFailed,
    MissingExtra,
    Problem,
    ProblemType,
    ServiceError,
    ServiceUnreachable,
    SurfaceFileError,
)
from bertscape.findings import NUMBERS, Findings, SelfCheck, TrajectoryFound
from bertscape.grid import Axis, Grid, Tile
from bertscape.job import Job
from bertscape.job_status import JobStatus
from bertscape.layer_group import LayerGroup
from bertscape.readings.basin import BasinKind, BasinWidth, basin_width
from bertscape.result import Result, read_result
from bertscape.retries import Retries
from bertscape.rollback import Rollback
from bertscape.rollback_file import read_rollback, write_rollback
from bertscape.self_checks import SelfCheckWarning
from bertscape.spec import JobSpec, Limits, StudySpec, load_spec, load_study, parse_spec
from bertscape.study import StudyResults, TrainingRun, run_study
from bertscape.surface import Attempt, Run, Surface
from bertscape.surface_file import read_surface, write_surface
from bertscape.training_output import KeptCheckpoint, LogEntry, TrainingOutput

__version__ = _version()

__all__ = [
    "NUMBERS",
    "Attempt",
    "Axis",
    "BasinKind",
    "BasinWidth",
    "BertscapeError",
    "Client",
    "Findings",
    "Grid",
    "InvalidInput",
    "Job",
    "JobFailed",
    "JobSpec",
    "JobStatus",
    "KeptCheckpoint",
    "LayerGroup",
    "Limits",
    "LogEntry",
    "MissingExtra",
    "Problem",
    "ProblemType",
    "Result",
    "Retries",
    "Rollback",
    "Run",
    "SelfCheck",
    "SelfCheckWarning",
    "ServiceError",
    "ServiceUnreachable",
    "StudyResults",
    "StudySpec",
    "Surface",
    "SurfaceFileError",
    "Tile",
    "TrainingOutput",
    "TrainingRun",
    "TrajectoryFound",
    "__version__",
    "basin_width",
    "load_spec",
    "load_study",
    "parse_spec",
    "read_result",
    "read_rollback",
    "read_surface",
    "run_study",
    "write_rollback",
    "write_surface",
]
