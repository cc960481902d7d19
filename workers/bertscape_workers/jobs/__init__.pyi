from .actor import (
    LIFETIME as LIFETIME,
    PROGRESS as PROGRESS,
    Description as Description,
    Failure as Failure,
    InputsGone as InputsGone,
    TileNumbers as TileNumbers,
    TrainingStopped as TrainingStopped,
    Underway as Underway,
)
from .kinds import (
    evaluator_of as evaluator_of,
    prepare_job as prepare_job,
)
from .prepare import (
    ProgressCall as ProgressCall,
)
from .training_job import (
    train_here as train_here,
)
