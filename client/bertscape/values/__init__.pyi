from .command import (
    DONE as DONE,
    JOB_FAILED as JOB_FAILED,
    WRONG_USE as WRONG_USE,
    Command as Command,
)
from .errors import (
    BertscapeError as BertscapeError,
    InvalidInput as InvalidInput,
    JobFailed as JobFailed,
    MissingExtra as MissingExtra,
    Problem as Problem,
    ProblemType as ProblemType,
    ServiceError as ServiceError,
    ServiceUnreachable as ServiceUnreachable,
    SurfaceFileError as SurfaceFileError,
    brief as brief,
    one_line as one_line,
    shortened as shortened,
)
from .findings import (
    CHANGES as CHANGES,
    NUMBERS as NUMBERS,
    CheckpointFound as CheckpointFound,
    EvaluatorName as EvaluatorName,
    Findings as Findings,
    GroupFound as GroupFound,
    Numbers as Numbers,
    Pins as Pins,
    RoundingFound as RoundingFound,
    SelfCheck as SelfCheck,
    SplitFound as SplitFound,
    TrainingFindings as TrainingFindings,
    TrajectoryFound as TrajectoryFound,
)
from .grid import (
    DEFAULT_COUNT as DEFAULT_COUNT,
    DEFAULT_HIGH as DEFAULT_HIGH,
    DEFAULT_LOW as DEFAULT_LOW,
    DEFAULT_TILE_POINTS as DEFAULT_TILE_POINTS,
    Axis as Axis,
    Grid as Grid,
    Tile as Tile,
    tiles as tiles,
)
from .job_status import (
    COMPLETED as COMPLETED,
    FINAL_STATES as FINAL_STATES,
    EstimateKept as EstimateKept,
    JobEstimate as JobEstimate,
    JobStage as JobStage,
    JobStatus as JobStatus,
    ProblemDocument as ProblemDocument,
    SplitEstimate as SplitEstimate,
)
from .json_values import JsonModel as JsonModel, plain as plain
from .layer_group import (
    ALL as ALL,
    ALL_LAYERS as ALL_LAYERS,
    EMBEDDINGS as EMBEDDINGS,
    NAMES as NAMES,
    POOLER as POOLER,
    THIRDS as THIRDS,
    LayerGroup as LayerGroup,
)
from .progress import Progress as Progress
from .publish import publishing as publishing
from .training_output import (
    KeptCheckpoint as KeptCheckpoint,
    LogEntry as LogEntry,
    TrainingOutput as TrainingOutput,
)
from .wire import (
    TOKEN_VARIABLE as TOKEN_VARIABLE,
    backoff as backoff,
    checked_token as checked_token,
)
