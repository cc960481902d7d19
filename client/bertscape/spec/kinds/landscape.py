"""Surfaces and curves: which plane, which grid on it, which data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bertscape.spec.kinds.job import Amount, JobSpec, Precision
from bertscape.spec.parts import (
    DEFAULT_AXIS,
    FINETUNED,
    Checkpoints,
    Data,
    Direction,
    GridRanges,
    Layers,
    Model,
    Until,
    Visitor,
    wrong,
)
from bertscape.values import ALL, ALL_LAYERS, CHANGES, NUMBERS, Grid, LayerGroup, Tile, tiles


class LandscapeSpec(JobSpec):
    """One request: which plane, which grid on it, which data."""

    result_form: ClassVar[str | None] = "surface"

    kind: Literal["surface", "curve"]
    model: Model
    x: Direction = Direction(toward=FINETUNED)
    y: Direction | None = None
    origin: Literal["pretrained", "finetuned"] = "pretrained"  # finetuned if layers is not all
    layers: Layers = ALL_LAYERS
    grid: GridRanges = GridRanges()
    data: Data
    trajectory: Checkpoints = ()
    # Whether each point is also compared with θ1 on the same examples. Left out of the JSON if not:
    # specs of earlier versions keep their text.
    paired: bool = Field(default=False, exclude_if=lambda paired: not paired)
    until: Until | None = None  # None: one round, of the examples that `data` says
    precision: Precision = "auto"

    @model_validator(mode="before")
    @classmethod
    def _default_y_axis(cls, value: Any) -> Any:
        """A surface whose spec names no y axis has the default one, and the spec then says so."""
        if not isinstance(value, dict) or value.get("kind") != "surface":
            return value
        grid = value.get("grid", {})
        if isinstance(grid, GridRanges):
            grid = grid.model_dump()
        if isinstance(grid, dict) and grid.get("y") is None:
            axis = [DEFAULT_AXIS.low, DEFAULT_AXIS.high, DEFAULT_AXIS.count]
            return {**value, "grid": {**grid, "y": axis}}
        return value

    @model_validator(mode="before")
    @classmethod
    def _default_origin(cls, value: Any) -> Any:
        """A layer group moves from θ1 if the spec names no origin, and the spec then says so."""
        if not isinstance(value, dict) or "origin" in value:
            return value
        everything = value.get("layers", ALL) in (ALL, ALL_LAYERS)
        return value if everything else {**value, "origin": FINETUNED}

    @model_validator(mode="before")
    @classmethod
    def _rounds_are_paired(cls, value: Any) -> Any:
        """θ1 is measured on the examples of each round, and the spec then says so."""
        if not isinstance(value, dict) or value.get("until") is None or "paired" in value:
            return value
        return {**value, "paired": True}

    @model_validator(mode="after")
    def _can_sharpen(self) -> Self:
        if self.until is None:
            return self
        until = self.until.model_dump()
        if self.data.train.examples is None:
            raise wrong("data.train.examples beside it: the sample to begin with", "until", until)
        if not self.paired:
            raise wrong("true, or no such key, beside until", "paired", self.paired)
        if not self._holds_finetuned():
            raise wrong(
                "a plane that holds θ1: origin finetuned, or an axis toward finetuned and layers "
                "all",
                "until",
                until,
            )
        return self

    def _holds_finetuned(self) -> bool:
        """Whether θ1 lies on the plane."""
        along = {direction.toward for direction in self._directions().values()}
        reached = self.layers.is_all and bool(along & {FINETUNED, self.model.finetuned})
        return self.origin == FINETUNED or reached

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Self:
        if self.kind == "surface" and self.y is None:
            raise wrong("a y direction with kind surface", "y")
        if self.kind == "curve" and self.y is not None:
            raise wrong("no y direction with kind curve", "y", self.y)
        if self.kind == "curve" and self.grid.y is not None:
            raise wrong("no y axis with kind curve", "grid.y", self.grid.y)
        if self.y is not None and self.x == self.y:
            raise wrong("a direction other than x", "y", self.y)
        return self

    @property
    def points(self) -> Grid:
        """The grid that this spec asks for."""
        return Grid(self.grid.x, self.grid.y)

    @property
    def point_count(self) -> int:
        """As `JobSpec.point_count`: those of the grid."""
        return self.points.size

    @property
    def number_names(self) -> tuple[str, ...]:
        """As `JobSpec.number_names`."""
        return (*NUMBERS, *CHANGES) if self.paired else NUMBERS

    def tiles(self, points_per_tile: int) -> list[Tile]:
        """As `JobSpec.tiles`: coarse to fine."""
        return tiles(self.points, points_per_tile)

    def coordinates(self, points: Sequence[int]) -> NDArray[np.float64]:
        """As `JobSpec.coordinates`: (α, β)."""
        return self.points.coordinates(points)

    @property
    def sharpens(self) -> bool:
        """As `JobSpec.sharpens`."""
        return self.until is not None

    def describe_tile(self, tile: int, points_per_tile: int) -> str:
        """As `JobSpec.describe_tile`: with the coordinates of its points."""
        place, index = self.round_of(tile, points_per_tile)
        points = self.tiles(points_per_tile)[index].points
        places = [f"({x:g}, {y:g})" for x, y in self.coordinates(points)]
        shown = ", ".join(places[:8]) + (" …" if len(places) > 8 else "")
        which = f"round {place + 1}, " if self.sharpens else ""
        return f"tile {tile} ({which}α, β = {shown})"

    def amounts(self) -> Iterator[Amount]:
        """As `JobSpec.amounts`: also points, and the checkpoints of trajectories."""
        yield from super().amounts()
        yield Amount("grid", self.point_count, "points", "points")
        yield Amount("trajectory", len(self.trajectory), "trajectory", "checkpoints")
        for axis, direction in self._directions().items():
            if direction.pca is not None:
                yield Amount(f"{axis}.pca", len(direction.pca), "trajectory", "checkpoints")

    @property
    def layer_groups(self) -> Mapping[str, LayerGroup]:
        """As `JobSpec.layer_groups`: what moves."""
        return {"layers": self.layers}

    @property
    def direction_count(self) -> int:
        """As `JobSpec.direction_count`: δ1, and δ2 of a surface."""
        return len(self._directions())

    def visited(self, visitor: Visitor) -> Self:
        """As `JobSpec.visited`."""
        directions = self._directions().items()
        return self.with_parts(
            model=visitor.model(self.model),
            **{axis: visitor.direction(axis, direction) for axis, direction in directions},
            data=visitor.data(self.data),
            trajectory=visitor.several("trajectory", self.trajectory),
        )

    def _directions(self) -> dict[str, Direction]:
        return {"x": self.x} if self.y is None else {"x": self.x, "y": self.y}
