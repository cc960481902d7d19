"""The plane: its origin and its directions, built while holding one checkpoint at a time."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bertscape.errors import InvalidInput, ProblemType
from bertscape_workers.backbone import Layout, Vector, read_backbone
from bertscape_workers.checkpoints import CheckpointFiles
from bertscape_workers.directions import random_direction
from bertscape_workers.vectors import dot, norm, scale

_Place = dict[str, float]  # a coordinate by axis; 0 where none is given

_PARALLEL = 1e-10  # 1 − cos² below this: float32 directions that only rounding tells apart


@dataclass(frozen=True, slots=True)
class Axis:
    """What one direction comes from: a checkpoint, or a seed."""

    key: str  # in the job spec: "x" or "y"
    toward: CheckpointFiles | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        """What findings call the checkpoint that this axis points toward."""
        return "toward" if self.key == "y" else f"{self.key}.toward"


@dataclass(frozen=True)
class Plane:
    """θ + α·x + β·y, and what was measured on the way."""

    origin: Vector  # (n,): θ0 or θ1
    x: Vector  # (n,)
    y: Vector | None  # (n,); None on a curve
    delta1_norm: float  # ‖θ1 − θ0‖
    lengths: dict[str, float]  # by axis, toward checkpoints only: ‖checkpoint − θ0‖ as it was
    cosine: float | None  # of x and y; None on a curve
    holds_delta1: bool  # whether x is δ1 and the origin θ0, as the paper's projection needs


@dataclass(frozen=True, slots=True)
class PlaneRequest:
    """Which plane: θ0, θ1, the axes (one of a curve), and which of the two is the origin."""

    pretrained: CheckpointFiles
    finetuned: CheckpointFiles
    axes: tuple[Axis, ...]
    origin: Literal["pretrained", "finetuned"]

    def is_delta1(self, axis: Axis) -> bool:
        """Whether an axis points toward θ1 itself, so that nothing rescales it."""
        return axis.toward is not None and axis.toward.folder == self.finetuned.folder


def build_plane(request: PlaneRequest, layout: Layout) -> Plane:
    """Read the checkpoints and build origin and directions.

    No more vectors are alive at any time than the plane has in the end.

    Raises:
        InvalidInput: a checkpoint that cannot be read, equals θ0, or gives a parallel direction.
    """
    origin = layout.empty()
    read_backbone(request.pretrained, layout, origin)
    delta1_norm = _delta1_norm(request, layout, origin)
    directions, lengths = {}, {}
    for axis in request.axes:
        if axis.toward is not None:
            directions[axis.key] = _delta(axis.toward, layout, origin)
            lengths[axis.key] = _length(directions[axis.key], axis.toward, request)
            if not request.is_delta1(axis):
                scale(directions[axis.key], delta1_norm / lengths[axis.key])
    if request.origin == "finetuned":
        read_backbone(request.finetuned, layout, origin)
    for axis in request.axes:
        if axis.seed is not None:
            directions[axis.key] = random_direction(origin, layout, axis.seed)
    x, y = directions["x"], directions.get("y")
    cosine = None if y is None else _cosine(x, y)
    paper = request.origin == "pretrained" and request.is_delta1(request.axes[0])
    return Plane(origin, x, y, delta1_norm, lengths, cosine, paper)


def checkpoints_on_plane(
    request: PlaneRequest, plane: Plane
) -> list[tuple[str, CheckpointFiles, tuple[float, float]]]:
    """Each of θ0, θ1 and the axes' checkpoints that lies on the plane.

    With origin θ0 each checkpoint that an axis points toward lies on that axis. With origin θ1
    the plane holds θ0, and so these checkpoints, only where one axis is δ1: θ0 is then at −1 on it.

    Returns:
        (name, checkpoint, (α, β)) of each, the origin first.
    """
    if request.origin == "pretrained":
        theta0: _Place | None = {}
        places: list[tuple[str, CheckpointFiles, _Place]] = [
            ("pretrained", request.pretrained, {}),
        ]
    else:
        theta0 = next(({axis.key: -1.0} for axis in request.axes if request.is_delta1(axis)), None)
        places = [("finetuned", request.finetuned, {})]
        places += [] if theta0 is None else [("pretrained", request.pretrained, theta0)]
    for axis in request.axes:
        is_origin = request.origin == "finetuned" and request.is_delta1(axis)
        if theta0 is None or axis.toward is None or is_origin:
            continue
        name = "finetuned" if request.is_delta1(axis) else axis.name
        along = plane.lengths[axis.key] / plane.delta1_norm
        places.append((name, axis.toward, {**theta0, axis.key: along}))
    return [(name, files, (at.get("x", 0.0), at.get("y", 0.0))) for name, files, at in places]


def _delta1_norm(request: PlaneRequest, layout: Layout, theta0: Vector) -> float:
    delta1 = _delta(request.finetuned, layout, theta0)
    return _length(delta1, request.finetuned, request)


def _delta(checkpoint: CheckpointFiles, layout: Layout, theta0: Vector) -> Vector:
    """The checkpoint minus θ0, in float32."""
    delta = layout.empty()
    read_backbone(checkpoint, layout, delta)
    np.subtract(delta, theta0, out=delta)
    return delta


def _length(delta: Vector, checkpoint: CheckpointFiles, request: PlaneRequest) -> float:
    length = norm(delta)
    if length == 0:
        raise InvalidInput.of(
            ProblemType.CHECKPOINT_MISMATCH,
            checkpoint.key,
            checkpoint.source,
            "a checkpoint that differs from model.pretrained",
            f"has the very backbone of {request.pretrained.source}",
        )
    return length


def _cosine(x: Vector, y: Vector) -> float:
    lengths = norm(x) * norm(y)
    cosine = dot(x, y) / lengths if lengths else 0.0
    if not 1.0 - cosine**2 > _PARALLEL:
        raise InvalidInput.of(
            ProblemType.CHECKPOINT_MISMATCH,
            "y",
            f"cosine {cosine:.12f} with x",
            "a direction that is not parallel to x",
        )
    return cosine
