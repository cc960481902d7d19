"""What the specs of all kinds of job share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertscape.spec.parts import Data, Values
from bertscape.values import Tile

Precision = Literal["auto", "fp32", "tf32", "bf16"]  # auto: fp32


class JobSpec(Values, ABC):
    """One request. A job is a number of points, cut into tiles, with some numbers at each."""

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

    def coordinates(self, points: Sequence[int]) -> NDArray[np.float64]:
        """Where these points are, as a worker is told it, (len(points), 2) float64.

        Of a job without a plane the first number is the point's index, and the second 0.
        """
        index = np.asarray(points, dtype=np.float64)
        return np.stack([index, np.zeros_like(index)], axis=1)

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values; `parse_spec` reads it back as an equal object."""
        return self.model_dump(mode="json", exclude_none=True)
