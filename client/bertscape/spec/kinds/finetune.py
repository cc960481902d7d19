"""Fine-tuning as a job, whose output is a trajectory that other jobs take as input."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bertscape.spec.kinds.job import TOKENIZER, JobSpec
from bertscape.spec.parts import Checkpoint, Values, Visitor, wrong
from bertscape.values import Pins, TrainingFindings

FINETUNE_NUMBERS = ("eval_loss", "eval_error", "eval_loss_stderr", "eval_error_stderr")
"""The order of the four float64 numbers of the final model."""

MAX_EPOCHS = 10_000


class FinetuneModel(Values):
    """What training starts from."""

    pretrained: Checkpoint  # architecture and tokenizer, and θ0 unless training is from scratch
    tokenizer: Checkpoint | None = None  # default: pretrained's


def _checked_keep(value: object) -> object:
    steps = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not steps and value != "epoch":
        raise wrong("epoch, or a number of steps, at least 1")
    return value


class Training(Values):
    """How to fine-tune.

    The workers train by it, and `bertscape finetune` has its options from it.
    """

    start: Literal["pretrained", "scratch"] = Field(
        default="pretrained",
        description="scratch: random weights of this architecture from the seed",
    )
    labels: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    ] = Field(default=None, description="class names in the head's order; default: the data's")
    epochs: int = Field(
        default=3,
        ge=0,
        le=MAX_EPOCHS,
        description="passes over the training split; 0 stores the complete start without training",
    )
    max_steps: int | None = Field(
        default=None, ge=1, description="optimizer steps; overrides the epochs"
    )
    batch_size: int = Field(default=32, ge=1, description="examples of an optimizer step")
    batches: Literal["random", "by_length"] = Field(
        default="random",
        description="by_length: examples of like length share a batch, which pads less",
    )
    learning_rate: float = Field(default=2e-5, gt=0, description="peak learning rate")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="warm-up, as a share of all steps")
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="schedule of the learning rate after the warm-up"
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="seed of the head, a random start, the order of the examples, and dropout",
    )
    keep: Annotated[str | int, BeforeValidator(_checked_keep)] = Field(
        default="epoch",
        description="keep a checkpoint each epoch or every so many steps; always the last",
    )

    def steps_per_epoch(self, examples: int) -> int:
        """The optimizer steps of one pass over so many examples."""
        return math.ceil(examples / self.batch_size)

    def steps(self, examples: int) -> int:
        """The optimizer steps of a run on so many examples."""
        return self.max_steps or self.epochs * self.steps_per_epoch(examples)

    def checkpoints(self, examples: int) -> int:
        """How many checkpoints a run on so many examples keeps, that of step 0 among them."""
        every = self.steps_per_epoch(examples) if self.keep == "epoch" else int(self.keep)
        return 1 + math.ceil(self.steps(examples) / every)

    @model_validator(mode="after")
    def _different_labels(self) -> Self:
        names = self.labels
        if names is not None and not len(set(names)) == len(names) >= 2:
            raise wrong("two or more different names", "labels", list(names))
        return self


class FinetuneSpec(JobSpec):
    """What starts, on which data, for how long. The whole run is one point in one tile."""

    trains: ClassVar[bool] = True
    findings_type: ClassVar[type[Pins]] = TrainingFindings

    kind: Literal["finetune"]
    model: FinetuneModel
    training: Training = Training()
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="precision of matrix products; auto: bf16 if the GPU supports it",
    )

    @property
    def point_count(self) -> int:
        """As `JobSpec.point_count`: the run."""
        return 1

    @property
    def number_names(self) -> tuple[str, ...]:
        """As `JobSpec.number_names`."""
        return FINETUNE_NUMBERS

    def describe_tile(self, tile: int, points_per_tile: int) -> str:
        """As `JobSpec.describe_tile`."""
        del tile, points_per_tile
        return "the training"

    @property
    def weightless(self) -> frozenset[str]:
        """As `JobSpec.weightless`: a random start takes the architecture alone."""
        scratch = self.training.start == "scratch"
        return frozenset({TOKENIZER, "model.pretrained"} if scratch else {TOKENIZER})

    def visited(self, visitor: Visitor) -> Self:
        """As `JobSpec.visited`."""
        return self.with_parts(model=visitor.model(self.model), data=visitor.data(self.data))
