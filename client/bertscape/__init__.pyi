from .http import Client as Client, Job as Job, Retries as Retries
from .readings import BasinKind as BasinKind, BasinWidth as BasinWidth, basin_width as basin_width
from .results import (
    Attempt as Attempt,
    Result as Result,
    Rollback as Rollback,
    Run as Run,
    SelfCheckWarning as SelfCheckWarning,
    Surface as Surface,
    read_result as read_result,
    read_rollback as read_rollback,
    read_surface as read_surface,
    write_rollback as write_rollback,
    write_surface as write_surface,
)
from .spec import (
    JobSpec as JobSpec,
    Limits as Limits,
    StudySpec as StudySpec,
    load_spec as load_spec,
    load_study as load_study,
    parse_spec as parse_spec,
)
from .study import StudyResults as StudyResults, TrainingRun as TrainingRun, run_study as run_study
from .values import (
    NUMBERS as NUMBERS,
    Axis as Axis,
    BertscapeError as BertscapeError,
    Findings as Findings,
    Grid as Grid,
    InvalidInput as InvalidInput,
    JobEstimate as JobEstimate,
    JobFailed as JobFailed,
    JobStatus as JobStatus,
    KeptCheckpoint as KeptCheckpoint,
    LayerGroup as LayerGroup,
    LogEntry as LogEntry,
    MissingExtra as MissingExtra,
    Problem as Problem,
    ProblemType as ProblemType,
    SelfCheck as SelfCheck,
    ServiceError as ServiceError,
    ServiceUnreachable as ServiceUnreachable,
    SurfaceFileError as SurfaceFileError,
    Tile as Tile,
    TrainingOutput as TrainingOutput,
    TrajectoryFound as TrajectoryFound,
)
from .version import __version__ as __version__
