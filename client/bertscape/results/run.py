"""What every result has beside its numbers: how it came about, how far it is, what was checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import (
    Findings,
    SelfCheck,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one tile, as the file's group `run/` records it."""

    tile: int
    attempt: int  # from 1
    worker: str
    device: str
    started: float  # Unix time, seconds
    seconds: float
    outcome: str  # done | failed | lost


@dataclass(frozen=True, slots=True)
class Run:
    """How a surface came about; outside the promise that results do not depend on the run."""

    attempts: tuple[Attempt, ...] = ()
    workers: int = 0
    threads: int = 1  # per worker
    tile_points: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)


class Evaluated:
    """What every result has: how far it is, and what its self-checks say."""

    __slots__ = ()  # those of the dataclasses made from it
    findings: Findings
    evaluated: NDArray[np.uint8]  # 1 where a point was evaluated

    @property
    def complete(self) -> bool:
        """Whether every point was evaluated."""
        return bool(self.evaluated.all())

    @property
    def self_checks(self) -> tuple[SelfCheck, ...]:
        """Evaluator against plain model, at each checkpoint that is one of its places."""
        return self.findings.self_checks

    @property
    def failed_self_checks(self) -> tuple[SelfCheck, ...]:
        """Those that did not pass; a result that has any must not be trusted."""
        return tuple(check for check in self.self_checks if check.passed is False)


def gather(
    spec: JobSpec, tile_points: int, done: Iterable[tuple[int, NDArray[np.float64]]]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Put the numbers of the tiles that are done where their points are.

    Args:
        spec: a job of any kind.
        tile_points: as of `assemble`.
        done: (tile index, numbers of shape (points of the tile, those of a point)).

    Returns:
        (numbers by point, NaN where there are none; 1 for each point that was evaluated).
    """
    width = len(spec.number_names)
    numbers = np.full((width, spec.point_count), np.nan)
    evaluated = np.zeros(spec.point_count, dtype=np.uint8)
    order = spec.tiles(tile_points)
    for index, values in done:
        points = list(order[index].points)
        if values.shape != (len(points), width):
            raise ValueError(f"tile {index}: shape {values.shape}, not {(len(points), width)}")
        numbers[:, points] = values.T
        evaluated[points] = 1
    return numbers, evaluated
