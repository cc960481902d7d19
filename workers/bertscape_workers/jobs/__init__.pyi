from .actor import (
    LIFETIME as LIFETIME,
    PROGRESS as PROGRESS,
    Description as Description,
    Failure as Failure,
    InputsGone as InputsGone,
    TileNumbers as TileNumbers,
    TrainingStopped as TrainingStopped,
    Underway as Underway,
    last_line as last_line,
)
from .kinds import prepare_job as prepare_job, runner_of as runner_of
from .tiles import TileOrder as TileOrder, TileWatch as TileWatch
from .training_job import train_here as train_here
