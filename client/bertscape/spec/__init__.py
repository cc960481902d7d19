"""Job specs: the same object in YAML, JSON and Python, with every check that needs no file.

A spec is read with `load_spec` (a file) or `parse_spec` (a mapping); both raise `InvalidInput`
with a problem for each wrong key. Checks that need the files a spec names (checkpoints, data)
are made where these files are: see `bertscape_workers.admission.admission`.
"""

from bertscape.spec.kinds import (
    FINETUNE_NUMBERS,
    KINDS,
    ROLLBACK_NUMBERS,
    Amount,
    FinetuneModel,
    FinetuneSpec,
    JobSpec,
    LandscapeSpec,
    Precision,
    RollbackSpec,
    Training,
    UnreadSpec,
)
from bertscape.spec.limits import Limits
from bertscape.spec.parts import (
    DATA_FORMATS,
    FINETUNED,
    Checkpoint,
    Checkpoints,
    Data,
    Direction,
    GridRanges,
    Hub,
    JobOutput,
    Model,
    Random,
    Split,
    Until,
    Visitor,
    data_format,
    plain,
)
from bertscape.spec.plain_text import refuse_repeated_keys, repeated_key
from bertscape.spec.reading import absolute, load_spec, parse_spec, sources, with_sources
from bertscape.spec.study import Overrides, StudySpec
from bertscape.spec.study_reading import load_study, parse_study, with_paths

__all__ = [
    "DATA_FORMATS",
    "FINETUNED",
    "FINETUNE_NUMBERS",
    "KINDS",
    "ROLLBACK_NUMBERS",
    "Amount",
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
    "Overrides",
    "Precision",
    "Random",
    "RollbackSpec",
    "Split",
    "StudySpec",
    "Training",
    "UnreadSpec",
    "Until",
    "Visitor",
    "absolute",
    "data_format",
    "load_spec",
    "load_study",
    "parse_spec",
    "parse_study",
    "plain",
    "refuse_repeated_keys",
    "repeated_key",
    "sources",
    "with_paths",
    "with_sources",
]
