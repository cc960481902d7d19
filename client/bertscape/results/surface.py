"""A surface in memory: the result over a grid, whole or with holes.

`Surface` holds what the HDF5 file of format version 1 holds; `surface_file` writes and reads that
file, and `assemble` builds a surface from what preparing found and the tiles that are done.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bertscape.results.rounds import gather_rounds, round_sizes
from bertscape.results.run import Result, Run, gather
from bertscape.spec import LandscapeSpec
from bertscape.values import Findings, TrajectoryFound


@dataclass(frozen=True, slots=True)
class Surface(Result):
    """The four numbers and their standard errors over the grid, with all that explains them.

    A job that is `paired` also has the change of each against θ1, with its standard error.
    """

    form: ClassVar[str] = "surface"

    spec: LandscapeSpec
    findings: Findings
    numbers: NDArray[
        np.float64
    ]  # (8, ny, nx), or (8, nx) of a curve, in the order of `names`; NaN in holes
    evaluated: NDArray[np.uint8]  # (ny, nx) or (nx,): 1 where a value was computed
    run: Run
    rounds: int = 1  # that the numbers are from, if the job sharpens

    @property
    def examples(self) -> dict[str, int]:
        """How many examples of each split the numbers are from."""
        splits = self.findings.splits
        counts: dict[str, int] = {
            name: splits[name].examples for name in ("train", "eval") if name in splits
        }
        if self.spec.sharpens:
            counts["train"] = sum(round_sizes(self.findings)[: self.rounds])
        return counts

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that `surface[name]` has: `NUMBERS`, and if it is paired `CHANGES`."""
        return self.spec.number_names

    @property
    def extent(self) -> str:
        """Ends and number of points along each axis, as in "-4 to 4, 40; -4 to 4, 40"."""
        axes = (self.spec.grid.x, self.spec.grid.y)
        return "; ".join(f"{a.low:g} to {a.high:g}, {a.count}" for a in axes if a is not None)

    @property
    def alpha(self) -> NDArray[np.float64]:
        """X coordinates, (nx,), in units of ‖δ1‖."""
        return self.spec.points.x.values()

    @property
    def beta(self) -> NDArray[np.float64] | None:
        """Y coordinates, (ny,), in units of ‖δ1‖; None for a curve."""
        axis = self.spec.points.y
        return None if axis is None else axis.values()

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """One dataset by its name in the file, as in `surface["train_loss"]`; rows are β."""
        if name not in self.names:
            raise KeyError(f"{name!r}: expected one of {', '.join(self.names)}")
        values: NDArray[np.float64] = self.numbers[self.names.index(name)]
        return values

    @property
    def train_loss(self) -> NDArray[np.float64]:
        """Mean cross-entropy J on the training split, in nats."""
        return self["train_loss"]

    @property
    def train_error(self) -> NDArray[np.float64]:
        """1 − accuracy on the training split."""
        return self["train_error"]

    @property
    def eval_loss(self) -> NDArray[np.float64]:
        """Mean cross-entropy J on the evaluation split, in nats."""
        return self["eval_loss"]

    @property
    def eval_error(self) -> NDArray[np.float64]:
        """1 − accuracy on the evaluation split: the generalization error."""
        return self["eval_error"]

    @property
    def trajectory(self) -> TrajectoryFound | None:
        """The projected checkpoints, if the job asked for any."""
        return self.findings.trajectory


def assemble(
    spec: LandscapeSpec,
    findings: Findings,
    tile_points: int,
    done: Iterable[tuple[int, NDArray[np.float64]]],
    run: Run,
) -> Surface:
    """Build the surface from the tiles that are done.

    Args:
        spec: the job.
        findings: what preparing found.
        tile_points: how many points the job's tiles hold at most.
        done: (tile index, numbers of shape (points of the tile, 8), or 16 if paired, in
            the order of the spec's `number_names`).
        run: how it came about.

    Returns:
        The surface; points of tiles that are not done are NaN, with `evaluated` 0. Of a job that
        sharpens it is the latest whole round.
    """
    rounds = 1
    if spec.sharpens:
        numbers, evaluated, rounds = gather_rounds(spec, findings, tile_points, done)
    else:
        numbers, evaluated = gather(spec, tile_points, done)
    shape = spec.points.shape
    return Surface(
        spec=spec,
        findings=findings,
        numbers=numbers.reshape(-1, *shape),
        evaluated=evaluated.reshape(shape),
        run=dataclasses.replace(run, tile_points=tile_points),
        rounds=rounds,
    )
