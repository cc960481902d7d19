"""The parts of a spec: checkpoints, data, directions, axes, layers. Values alone; no file."""

from bertscape.spec.parts.base import Values, wrong
from bertscape.spec.parts.checkpoint import (
    FINETUNED,
    TAGS,
    Checkpoint,
    Checkpoints,
    Hub,
    JobOutput,
    Model,
    plain,
)
from bertscape.spec.parts.data import DATA_FORMATS, Data, Split, data_format
from bertscape.spec.parts.direction import Direction, Random
from bertscape.spec.parts.grid_ranges import DEFAULT_AXIS, AxisRange, GridRanges
from bertscape.spec.parts.layers import Layers
from bertscape.spec.parts.sources import Visitor
from bertscape.spec.parts.until import Until

__all__ = [
    "DATA_FORMATS",
    "DEFAULT_AXIS",
    "FINETUNED",
    "TAGS",
    "AxisRange",
    "Checkpoint",
    "Checkpoints",
    "Data",
    "Direction",
    "GridRanges",
    "Hub",
    "JobOutput",
    "Layers",
    "Model",
    "Random",
    "Split",
    "Until",
    "Values",
    "Visitor",
    "data_format",
    "plain",
    "wrong",
]
