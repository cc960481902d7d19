"""What preparing a job found: the pins and the measured facts, as one JSON-able object.

The service journals it before the first tile; a later preparing of the same job must find the
same, or the job fails (two surfaces never mix). Floats survive the trip through JSON bit for
bit; NaN and infinity travel as the strings "NaN", "Infinity" and "-Infinity".
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, model_serializer

from bertscape.values.json_values import JsonModel

Numbers = tuple[float, float, float, float, float, float, float, float]  # as in `NUMBERS`

EvaluatorName = Literal["packed", "reference"]

NUMBERS = (
    "train_loss",
    "train_error",
    "eval_loss",
    "eval_error",
    "train_loss_stderr",
    "train_error_stderr",
    "eval_loss_stderr",
    "eval_error_stderr",
)
"""The order of the eight float64 numbers that an evaluator gives at one point."""

CHANGES = tuple(f"{name}_change{ending}" for ending in ("", "_stderr") for name in NUMBERS[:4])
"""The order of the eight float64 numbers that say how a point differs from θ1.

Each change is the mean of the differences of the same examples, and has the standard error of this
mean: what moves all of an example's losses alike is not in it.
"""


class _Found(JsonModel):
    model_config = ConfigDict(extra="forbid")


class CheckpointFound(_Found):
    """One checkpoint as it was read."""

    source: str  # the folder, or the hub id
    sha256: str  # of the safetensors files and config.json
    commit: str | None = None  # of a hub id


class SplitFound(_Found):
    """One tokenized split."""

    source: str
    sha256: str  # of token ids, token types, lengths and labels, in their fixed order
    examples: int
    tokens: int  # without padding
    # If the data names its label's numbers: the head's class (None: it has none) by each of these
    # names, in the order of the numbers.
    class_by_name: dict[str, int | None] | None = None

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: Any) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.class_by_name is None:
            del values["class_by_name"]
        return values


class SelfCheck(_Found):
    """One checkpoint that lies on the plane: plain Hugging Face model against evaluator."""

    checkpoint: str  # "pretrained", "finetuned" or "toward"
    alpha: float
    beta: float
    expected: Numbers  # the freshly loaded backbone with θ1's head, plain Hugging Face model
    found: Numbers  # the evaluator at (alpha, beta)
    passed: bool | None  # None if the precision only reports the difference


class TrajectoryFound(_Found):
    """The checkpoints of a trajectory: projections and true numbers, (T,) each."""

    step: tuple[int, ...]
    alpha: tuple[float, ...]  # the paper's projection; NaN if it is not defined
    beta: tuple[float, ...]
    alpha_lsq: tuple[float, ...]  # least squares onto the plane, relative to its origin
    beta_lsq: tuple[float, ...]
    residual: tuple[float, ...]  # distance from the plane, in units of ‖δ1‖
    numbers: tuple[Numbers, ...]  # of each checkpoint's backbone with θ1's head


class RoundingFound(_Found):
    """What a precision other than fp32 changed, at points that follow from the grid alone."""

    at: tuple[tuple[float, float], ...]  # (α, β) of each
    train_loss: float  # the largest |difference| from fp32; NaN if one of the two alone is NaN
    train_error: float
    eval_loss: float
    eval_error: float


class GroupFound(_Found):
    """A layer group that alone moves, and how long the directions are in it."""

    layers: tuple[int, int] | None  # half-open range, from 0; None of the embeddings, the pooler
    x_norm: float  # ‖δ1ᴳ‖, beside `delta1_norm` of the whole δ1
    y_norm: float | None  # ‖δ2ᴳ‖ of the rescaled δ2; None on a curve and of a rollback


class Pins(_Found):
    """What preparing a job of any kind found; `Findings` and `TrainingFindings` add to it."""

    checkpoints: dict[str, CheckpointFound]  # pretrained, toward, y.pca[0], trajectory[0], …
    splits: dict[str, SplitFound]  # train, eval
    classes: int  # K
    precision: str  # what it was computed in: fp32, tf32 or bf16
    device: str  # model name of the device, as workers report it
    threads: int  # per worker
    torch: str  # build
    warnings: tuple[str, ...] = ()  # what a reader of the result must know; pins nothing

    def to_json(self) -> dict[str, Any]:
        """As of any JSON model; without `warnings` where there are none."""
        values = super().to_json()
        if not self.warnings:
            del values["warnings"]
        return values

    def differences(self, other: "Pins") -> Iterator[tuple[str, Any, Any]]:
        """(key, here, there) of each leaf in which two findings differ; files come first."""
        here, there = (_leaves(found._pinning()) for found in (self, other))
        for key in [*here, *(key for key in there if key not in here)]:
            if here.get(key) != there.get(key):
                yield key, here.get(key), there.get(key)

    def _pinning(self) -> dict[str, Any]:
        return {key: value for key, value in self.to_json().items() if key != "warnings"}


class Findings(Pins):
    """Everything that preparing a surface, a curve or a rollback found."""

    delta1_norm: float  # ‖δ1‖, over all layers
    delta2_norm: float | None  # ‖θ2 − θ0‖ before rescaling; None without a y checkpoint
    cosine: float | None  # of the plane's x and y, so of δ1ᴳ and δ2ᴳ; None on a curve
    self_checks: tuple[SelfCheck, ...]
    trajectory: TrajectoryFound | None
    group: GroupFound | None = None  # if not all layers move
    # By axis, of each principal component: the share of its trajectory's variance along it.
    explained_variance: dict[str, float] | None = None
    groups: tuple[GroupFound, ...] | None = None  # of a rollback, in the job's order
    evaluator: EvaluatorName | None = None  # None in what older versions wrote
    rounding: RoundingFound | None = None  # None in fp32


class TrainingFindings(Pins):
    """Everything that preparing a fine-tuning found."""

    labels: tuple[str, ...]  # class names in the head's order


def _leaves(value: Any, key: str = "") -> dict[str, Any]:
    """Every leaf of nested mappings and lists under its dotted key, in order."""
    if isinstance(value, dict):
        items: Iterator[tuple[str, Any]] = iter(value.items())
    elif isinstance(value, list):
        items = ((str(index), item) for index, item in enumerate(value))
    else:
        return {key: value}
    leaves: dict[str, Any] = {}
    for name, item in items:
        leaves |= _leaves(item, f"{key}.{name}" if key else name)
    return leaves
