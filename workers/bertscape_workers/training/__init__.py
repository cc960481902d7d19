"""Fine-tuning into a folder that is itself a trajectory.

Touches checkpoint folders and the device. Knows `evaluation` and the rooms below it.
"""

from bertscape_workers.training.fine_tuning import (
    FineTuned,
    TrainingInputs,
    check,
    finetune,
    refuse_existing_trajectory,
    train,
    train_alone,
)
from bertscape_workers.training.trainer import Kept, Logged, Stop

__all__ = [
    "FineTuned",
    "Kept",
    "Logged",
    "Stop",
    "TrainingInputs",
    "check",
    "finetune",
    "refuse_existing_trajectory",
    "train",
    "train_alone",
]
