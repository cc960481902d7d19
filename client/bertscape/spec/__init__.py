"""Job specs: the same object in YAML, JSON and Python, with every check that needs no file.

A spec is read with `load_spec` (a file) or `parse_spec` (a mapping); both raise `InvalidInput`
with a problem for each wrong key. Checks that need the files a spec names (checkpoints, data)
are made where these files are: see `bertscape_workers.admission`.
"""

from bertscape.spec.checkpoint import FINETUNED, Checkpoint, Checkpoints, Hub, JobOutput, Model
from bertscape.spec.data import DATA_FORMATS, Data, Split
from bertscape.spec.direction import Direction, Random
from bertscape.spec.finetune import FINETUNE_NUMBERS, FinetuneModel, FinetuneSpec, Training
from bertscape.spec.grid_ranges import GridRanges
from bertscape.spec.job import JobSpec, Precision
from bertscape.spec.landscape import LandscapeSpec
from bertscape.spec.limits import Limits
from bertscape.spec.reading import (
    KINDS,
    absolute,
    load_spec,
    parse_spec,
    sources,
    with_sources,
)
from bertscape.spec.rollback import ROLLBACK_NUMBERS, RollbackSpec
from bertscape.spec.study import StudySpec
from bertscape.spec.study_reading import load_study, parse_study

__all__ = [
    "DATA_FORMATS",
    "FINETUNED",
    "FINETUNE_NUMBERS",
    "KINDS",
    "ROLLBACK_NUMBERS",
    "Checkpoint",
    "Checkpoints",
    "Data",
    "Direction",
    "FinetuneModel",
    "FinetuneSpec",
    "GridRanges",
    "Hub",
    "JobOutput",
    "JobSpec",
    "LandscapeSpec",
    "Limits",
    "Model",
    "Precision",
    "Random",
    "RollbackSpec",
    "Split",
    "StudySpec",
    "Training",
    "absolute",
    "load_spec",
    "load_study",
    "parse_spec",
    "parse_study",
    "sources",
    "with_sources",
]
