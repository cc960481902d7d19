"""What the specs of all kinds of job share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertscape.spec.parts import Data, Values, Visitor
from bertscape.values import Findings, LayerGroup, Pins, Tile

Precision = Literal["auto", "fp32", "tf32", "bf16"]  # auto: fp32
LimitName = Literal["points", "examples", "trajectory"]

TOKENIZER = "model.tokenizer"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something a spec asks for."""

    key: str  # in the spec
    count: int
    limit: LimitName  # which of the limits holds for it
    unit: str


class JobSpec(Values, ABC):
    """One request. A job is a number of points, cut into tiles, with some numbers at each.

    What others must know of a kind stands here, so that nobody asks which kind a job is.
    """

    result_form: ClassVar[str | None] = None
    """The form of its result file, as `bertscape.results` names it; None: it leaves a folder."""

    trains: ClassVar[bool] = False
    """Whether its one tile is a training: it tells its stages, can be stopped, leaves a folder."""

    findings_type: ClassVar[type[Pins]] = Findings
    """What preparing it finds."""

    kind: str
    name: str | None = Field(default=None, max_length=200)
    data: Data

    @property
    @abstractmethod
    def point_count(self) -> int:
        """How many points there are to do."""

    @property
    @abstractmethod
    def number_names(self) -> tuple[str, ...]:
        """What a worker computes at each point, in order: names of float64 numbers."""

    def points_per_tile(self, usual: int) -> int:
        """How many points a tile of this job holds at most, where a grid's holds `usual`."""
        return usual

    def tiles(self, points_per_tile: int) -> list[Tile]:
        """All points, cut into tiles, in the order in which to do them."""
        count = self.point_count
        starts = range(0, count, points_per_tile)
        return [
            Tile(index, tuple(range(start, min(start + points_per_tile, count))))
            for index, start in enumerate(starts)
        ]

    @property
    def sharpens(self) -> bool:
        """Whether rounds follow each other, each of all points on further examples."""
        return False

    def round_of(self, tile: int, points_per_tile: int) -> tuple[int, int]:
        """Which round a tile belongs to, from 0, and which of `tiles` it is there."""
        return divmod(tile, -(-self.point_count // points_per_tile))

    def describe_tile(self, tile: int, points_per_tile: int) -> str:
        """What that tile is, for people."""
        del points_per_tile
        return f"tile {tile} (of the {self.kind})"

    def coordinates(self, points: Sequence[int]) -> NDArray[np.float64]:
        """Where these points are, as a worker is told it, (len(points), 2) float64.

        A job without a plane gives the point's index, and 0.
        """
        index = np.asarray(points, dtype=np.float64)
        return np.stack([index, np.zeros_like(index)], axis=1)

    def amounts(self) -> Iterator[Amount]:
        """All that limits hold for."""
        for name, split in (("train", self.data.train), ("eval", self.data.eval)):
            yield Amount(f"data.{name}.examples", split.examples or 0, "examples", "examples")

    @property
    def layer_groups(self) -> Mapping[str, LayerGroup]:
        """The layer groups that it names, by their keys."""
        return {}

    @property
    def direction_count(self) -> int:
        """How many directions are held in memory beside the backbone."""
        return 1

    @property
    def weightless(self) -> frozenset[str]:
        """The keys of checkpoints that need hold no weights."""
        return frozenset({TOKENIZER})

    @abstractmethod
    def visited(self, visitor: Visitor) -> Self:
        """The same spec, with what the visitor puts in place of each source.

        The same object if that changes nothing; else one that is not checked again.
        """

    def with_parts(self, **parts: object) -> Self:
        """The same spec with other values in these fields; the same object if none differs."""
        new = {name: part for name, part in parts.items() if part != getattr(self, name)}
        return self.model_copy(update=new) if new else self

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values; `parse_spec` reads it back as an equal object."""
        return self.model_dump(mode="json", exclude_none=True)
