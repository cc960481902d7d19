"""The settings of a fine-tuning: what starts, on which data, for how long."""

import enum
import math
from dataclasses import dataclass

from bertscape.spec import Checkpoint, Data
from bertscape.values import (
    InvalidInput,
    ProblemType,
)


class Start(enum.StrEnum):
    """Where the backbone begins."""

    PRETRAINED = "pretrained"  # at the checkpoint's own weights
    SCRATCH = "scratch"  # at random weights of the checkpoint's architecture, drawn from the seed


class Schedule(enum.StrEnum):
    """How the learning rate falls after the warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Precision(enum.StrEnum):
    """What the matrix products of training compute in; the weights are float32 in any case."""

    AUTO = "auto"  # bf16 where the GPU has it
    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True)
class FineTuning:
    """One run: what starts, on which data, for how long.

    Raises:
        InvalidInput: a value that no run can have.
    """

    pretrained: Checkpoint  # a folder or a hub id: architecture and, unless scratch, θ0
    data: Data
    tokenizer: Checkpoint | None = None  # default: that of `pretrained`
    start: Start = Start.PRETRAINED
    labels: tuple[str, ...] | None = None  # class names in the head's order; default: the data's
    epochs: int = 3  # 0: only θ0 is stored, complete
    max_steps: int | None = None  # optimizer steps; overrides `epochs`
    batch_size: int = 32
    learning_rate: float = 2e-5  # at its peak
    warmup: float = 0.1  # share of all steps, in [0, 1)
    weight_decay: float = 0.01
    schedule: Schedule = Schedule.LINEAR
    seed: int = 0  # of the head, a random backbone, the order of the examples and dropout
    keep: str | int = "epoch"  # a checkpoint each, or every so many steps; the last one always
    precision: Precision = Precision.AUTO
    threads: int | None = None  # CPU threads; default: torch's own choice

    def __post_init__(self) -> None:
        _require("start", self.start, self.start in set(Start), " or ".join(Start))
        _require("schedule", self.schedule, self.schedule in set(Schedule), " or ".join(Schedule))
        known = self.precision in set(Precision)
        _require("precision", self.precision, known, " or ".join(Precision))
        _require("epochs", self.epochs, self.epochs >= 0, "0 or more")
        steps = self.max_steps
        _require("max_steps", steps, steps is None or steps >= 1, "at least 1")
        _require("batch_size", self.batch_size, self.batch_size >= 1, "at least 1")
        rate = self.learning_rate
        _require("learning_rate", rate, 0 < rate < math.inf, "a finite number above 0")
        _require("warmup", self.warmup, 0 <= self.warmup < 1, "a share of the steps in [0, 1)")
        decay = self.weight_decay
        _require("weight_decay", decay, 0 <= decay < math.inf, "a finite number, 0 or more")
        _require("seed", self.seed, 0 <= self.seed < 2**32, "a whole number in [0, 2^32)")
        kept = self.keep == "epoch" or (isinstance(self.keep, int) and self.keep >= 1)
        _require("keep", self.keep, kept, '"epoch", or every so many steps, at least 1')
        threads = self.threads
        _require("threads", threads, threads is None or threads >= 1, "at least 1")
        names = self.labels
        distinct = names is None or len(set(names)) == len(names) >= 2
        _require("labels", names, distinct, "two or more different names")

    def steps(self, examples: int) -> int:
        """The optimizer steps of a run on so many examples."""
        return self.max_steps or self.epochs * self.steps_per_epoch(examples)

    def steps_per_epoch(self, examples: int) -> int:
        """The optimizer steps of one pass over so many examples."""
        return math.ceil(examples / self.batch_size)

    def checkpoints(self, examples: int) -> int:
        """How many checkpoints a run on so many examples keeps, that of step 0 among them."""
        every = self.steps_per_epoch(examples) if self.keep == "epoch" else int(self.keep)
        return 1 + math.ceil(self.steps(examples) / every)


def _require(key: str, value: object, valid: bool, expected: str) -> None:
    if not valid:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, value, expected)
