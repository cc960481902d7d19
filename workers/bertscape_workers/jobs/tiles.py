"""What a worker is told of a tile, and whom it tells how far the tile is; torch is not needed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertscape.values import LogEntry


@dataclass(frozen=True, slots=True)
class TileOrder:
    """One tile of a prepared job."""

    coordinates: NDArray[np.float64]  # (points, 2), as `JobSpec.coordinates` has them
    output: str = ""  # the folder for what it leaves behind; an earlier attempt may have begun it
    run: str = ""  # a name of this attempt, by which it is told to stop
    round: int = 0  # of a job that sharpens: on the examples that this round adds


def _nothing(*_: Any) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class TileWatch:
    """Whom a tile tells how far it is, and asks whether to stop."""

    point: Callable[[int], None] = _nothing  # how many points are done
    stage: Callable[[str, int, int], None] = _nothing  # words, done, total
    logged: Callable[[LogEntry], None] = _nothing
    kept: Callable[[], None] = _nothing  # a checkpoint that no attempt will do again
    stop: Callable[[], bool] = field(default=lambda: False)
