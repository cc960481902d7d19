"""The kinds of job: one module for each, and what they share. Values alone; no file."""

from bertscape.spec.kinds.finetune import (
    FINETUNE_NUMBERS,
    MAX_EPOCHS,
    FinetuneModel,
    FinetuneSpec,
    Training,
)
from bertscape.spec.kinds.job import Amount, JobSpec, Precision
from bertscape.spec.kinds.landscape import LandscapeSpec
from bertscape.spec.kinds.registry import KINDS
from bertscape.spec.kinds.rollback import ROLLBACK_NUMBERS, RollbackSpec
from bertscape.spec.kinds.unread import UnreadSpec

__all__ = [
    "FINETUNE_NUMBERS",
    "KINDS",
    "MAX_EPOCHS",
    "ROLLBACK_NUMBERS",
    "Amount",
    "FinetuneModel",
    "FinetuneSpec",
    "JobSpec",
    "LandscapeSpec",
    "Precision",
    "RollbackSpec",
    "Training",
    "UnreadSpec",
]
