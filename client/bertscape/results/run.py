"""What every result has beside its numbers: its origin, its progress, its checks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bertscape.spec import JobSpec
from bertscape.values import Findings, SelfCheck

if TYPE_CHECKING:  # both are optional extras of the client
    import xarray

    from bertscape.figures import Figure


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


class Result:
    """What every result has: how far it is, what its self-checks say, and a file of its form."""

    __slots__ = ()  # those of the dataclasses made from it
    form: ClassVar[str]  # a key of `bertscape.results.result.FORMS`

    if TYPE_CHECKING:  # fields of the dataclasses made from it

        @property
        def spec(self) -> JobSpec:
            """The job."""

        @property
        def findings(self) -> Findings:
            """What preparing it found."""

        @property
        def evaluated(self) -> NDArray[np.uint8]:
            """1 where a point was evaluated."""

        @property
        def run(self) -> Run:
            """How it came about."""

    @property
    def extent(self) -> str:
        """Where its points lie, in words."""
        return f"{self.evaluated.size} points"

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

    # What follows goes through the table of forms, which lies above this module.

    def save(self, path: str | Path) -> None:
        """Write the HDF5 file of format version 1, by temporary name, fsync and rename."""
        from bertscape.results.result import write_result

        write_result(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` or the service wrote.

        Raises:
            SurfaceFileError: it does not exist, or is of another form.
        """
        from bertscape.results.result import read_as

        found = read_as(cls.form, path)
        assert isinstance(found, cls)  # noqa: S101  of this form
        return found

    def plot(self, **options: Any) -> "Figure":
        """Draw it, as `bertscape plot` does; needs the extra `plot`."""
        from bertscape.results.result import form

        return form(self).plot(self, **options)

    def to_xarray(self) -> "xarray.Dataset":
        """The same as a labelled dataset; needs the extra `xarray`."""
        from bertscape.results.result import to_xarray

        return to_xarray(self)


def gather(
    spec: JobSpec, tile_points: int, done: Iterable[tuple[int, NDArray[np.float64]]]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Put the numbers of the tiles that are done where their points are.

    Args:
        spec: a job of any kind.
        tile_points: as of `assemble`.
        done: (tile index, numbers of shape (points of the tile, those of a point)).

    Returns:
        (numbers by point, NaN if there are none; 1 for each point that was evaluated).
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
