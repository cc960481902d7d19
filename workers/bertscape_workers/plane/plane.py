"""The plane: its origin and its directions, built while holding one checkpoint at a time."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bertscape.values import ALL_LAYERS, GroupFound, InvalidInput, LayerGroup, ProblemType
from bertscape_workers.admission import Members, members
from bertscape_workers.checkpoints import (
    CheckpointFiles,
    Layout,
    Vector,
    dot,
    norm,
    read_backbone,
    scale,
)
from bertscape_workers.plane.directions import random_direction
from bertscape_workers.plane.principal_components import principal_component

_Place = dict[str, float]  # a coordinate by axis; 0 if none is given

_PARALLEL = 1e-10  # 1 − cos² below this: float32 directions that only rounding tells apart


@dataclass(frozen=True, slots=True)
class Axis:
    """What one direction comes from: a checkpoint, a seed, or a trajectory."""

    key: str  # in the job spec: "x" or "y"
    toward: CheckpointFiles | None = None
    seed: int | None = None
    pca: tuple[CheckpointFiles, ...] = ()  # the trajectory of a principal component
    component: int = 1  # which one

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
    holds_delta1: bool  # whether x is all of δ1 and the origin θ0, as the paper's projection needs
    group: GroupFound | None  # if not all layers move: x and y are zero in all else
    explained_variance: dict[str, float]  # by axis, principal components only


@dataclass(frozen=True, slots=True)
class PlaneRequest:
    """Which plane: θ0, θ1, the axes (one of a curve), which of both is the origin, what moves."""

    pretrained: CheckpointFiles
    finetuned: CheckpointFiles
    axes: tuple[Axis, ...]
    origin: Literal["pretrained", "finetuned"]
    layers: LayerGroup = ALL_LAYERS

    @property
    def origin_checkpoint(self) -> CheckpointFiles:
        """The checkpoint at α = β = 0."""
        return self.pretrained if self.origin == "pretrained" else self.finetuned

    def is_delta1(self, axis: Axis) -> bool:
        """Whether an axis points toward θ1 itself, so that nothing rescales it."""
        return axis.toward is not None and axis.toward.folder == self.finetuned.folder


def build_plane(request: PlaneRequest, layout: Layout) -> Plane:
    """Read the checkpoints and build origin and directions.

    No more vectors are alive at any time than the plane has in the end, and one beside them where
    a direction is a principal component. A layer group's directions are those of the whole
    backbone, already rescaled or drawn, with all else set to zero.

    Raises:
        InvalidInput: a layer group that the model has not, a checkpoint that cannot be read or
            equals θ0, or a direction that is zero in the group or parallel to the other.
    """
    group = _members(request, layout)
    origin = layout.empty()
    read_backbone(request.pretrained, layout, origin)
    delta1_norm = _delta1_norm(request, layout, origin)
    directions, lengths, explained = {}, {}, {}
    for axis in request.axes:
        if axis.toward is not None:
            directions[axis.key] = _delta(axis.toward, layout, origin)
            lengths[axis.key] = length_toward(directions[axis.key], axis.toward, request)
            if not request.is_delta1(axis):
                scale(directions[axis.key], delta1_norm / lengths[axis.key])
        if axis.pca:
            directions[axis.key], explained[axis.key] = principal_component(
                axis.pca, axis.component, layout, delta1_norm
            )
    if request.origin == "finetuned":
        read_backbone(request.finetuned, layout, origin)
    for axis in request.axes:
        if axis.seed is not None:
            directions[axis.key] = random_direction(origin, layout, axis.seed)
    found = None if request.layers.is_all else _restrict(directions, group, request, layout)
    x, y = directions["x"], directions.get("y")
    cosine = None if y is None else _cosine(x, y)
    paper = request.origin == "pretrained" and request.is_delta1(request.axes[0]) and found is None
    return Plane(origin, x, y, delta1_norm, lengths, cosine, paper, found, explained)


def checkpoints_on_plane(
    request: PlaneRequest, plane: Plane
) -> list[tuple[str, CheckpointFiles, tuple[float, float]]]:
    """Each of θ0, θ1 and the axes' checkpoints that lies on the plane.

    With origin θ0 each checkpoint that an axis points toward lies on that axis. With origin θ1
    the plane holds θ0, and so these checkpoints, only if one axis is δ1: θ0 is then at −1 on it.
    Where a layer group alone moves, the plane holds its origin alone.

    Returns:
        (name, checkpoint, (α, β)) of each, the origin first.
    """
    if not request.layers.is_all:
        return [(request.origin, request.origin_checkpoint, (0.0, 0.0))]
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


def _members(request: PlaneRequest, layout: Layout) -> Members:
    inside = f"{layout.prefix}."
    names = [tuple(n.removeprefix(inside) for n in tensor.names) for tensor in layout.tensors]
    return members(request.layers, names)


def _restrict(
    directions: dict[str, Vector], group: Members, request: PlaneRequest, layout: Layout
) -> GroupFound:
    """Set everything outside the group to zero, in place, and measure the rest."""
    lengths = {}
    for axis in request.axes:
        for tensor, moves in zip(layout.tensors, group.moving, strict=True):
            if not moves:
                tensor.view(directions[axis.key])[...] = 0
        lengths[axis.key] = norm(directions[axis.key])
        if lengths[axis.key] == 0:
            raise _still(axis, request)
    return GroupFound(layers=group.layers, x_norm=lengths["x"], y_norm=lengths.get("y"))


def _still(axis: Axis, request: PlaneRequest) -> InvalidInput:
    if axis.toward is not None:
        found = f"is the same in {axis.toward.source} and {request.pretrained.source}"
    elif axis.pca:
        found = f"is the same in all checkpoints of {axis.key}.pca"
    else:
        found = f"holds no filter but zeros in {request.origin_checkpoint.source}"
    return InvalidInput.of(
        ProblemType.CHECKPOINT_MISMATCH,
        "layers",
        request.layers.to_json(),
        f"a group in which the {axis.key} direction is not zero",
        found,
    )


def _delta1_norm(request: PlaneRequest, layout: Layout, theta0: Vector) -> float:
    delta1 = _delta(request.finetuned, layout, theta0)
    return length_toward(delta1, request.finetuned, request)


def _delta(checkpoint: CheckpointFiles, layout: Layout, theta0: Vector) -> Vector:
    """The checkpoint minus θ0, in float32."""
    delta = layout.empty()
    read_backbone(checkpoint, layout, delta)
    np.subtract(delta, theta0, out=delta)
    return delta


def length_toward(delta: Vector, checkpoint: CheckpointFiles, request: PlaneRequest) -> float:
    """‖delta‖, of a checkpoint minus θ0; `InvalidInput` if it is zero."""
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
