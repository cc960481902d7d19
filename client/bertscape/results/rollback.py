"""A rollback in memory: what each layer group of θ1 is worth, by putting it back to θ0.

`Rollback` holds what its HDF5 file holds; `rollback_file` writes and reads that file.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bertscape.results.run import Result, Run, gather
from bertscape.spec import ROLLBACK_NUMBERS, RollbackSpec
from bertscape.values import Findings, LayerGroup

NOTHING = "none"
"""The name of the first group, which is empty: θ1 as it is."""


@dataclass(frozen=True, slots=True)
class Rollback(Result):
    """Losses and errors of θ1, and of θ1 with each layer group put back to θ0.

    The first group is `NOTHING`, and the others stand in the spec's order. Each has the four
    numbers of a point, their changes against θ1, and the standard errors of both. A change is the
    mean of the differences of the same examples, and its standard error is that of this mean:
    both are much sharper than what the two numbers' own standard errors suggest.
    """

    form: ClassVar[str] = "rollback"

    spec: RollbackSpec
    findings: Findings
    numbers: NDArray[np.float64]  # (16, 1 + G), in the order of ROLLBACK_NUMBERS; NaN in holes
    evaluated: NDArray[np.uint8]  # (1 + G,): 1 where a group was evaluated
    run: Run

    @property
    def extent(self) -> str:
        """Its points are groups."""
        return "groups"

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of what is put back, 1 + G: "none" first, then as in "low", "[0, 4]", "all"."""
        return (NOTHING, *(group_name(group) for group in self.spec.groups))

    @property
    def distance(self) -> NDArray[np.float64]:
        """How far each group is put back, ‖δ1ᴳ‖ / ‖δ1‖, (1 + G,); 0 of `NOTHING`."""
        found = self.findings.groups or ()
        return np.array([0.0, *(group.x_norm for group in found)]) / self.findings.delta1_norm

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """One dataset by its name in the file, as in `rollback["eval_error_change"]`, (1 + G,)."""
        if name not in ROLLBACK_NUMBERS:
            raise KeyError(f"{name!r}: expected one of {', '.join(ROLLBACK_NUMBERS)}")
        values: NDArray[np.float64] = self.numbers[ROLLBACK_NUMBERS.index(name)]
        return values

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """On the evaluation split; its standard error is that of `eval_error`."""
        return 1.0 - self["eval_error"]

    @property
    def accuracy_change(self) -> NDArray[np.float64]:
        """Against θ1, below 0 if it fell; its standard error is that of `eval_error_change`."""
        return 0.0 - self["eval_error_change"]


def group_name(group: LayerGroup) -> str:
    """What a group is called, as in "low" or "[0, 4]"."""
    return str(group.to_json())


def assemble_rollback(
    spec: RollbackSpec,
    findings: Findings,
    tile_points: int,
    done: Iterable[tuple[int, NDArray[np.float64]]],
    run: Run,
) -> Rollback:
    """Build the rollback from the tiles that are done; arguments as those of `assemble`."""
    numbers, evaluated = gather(spec, tile_points, done)
    run = dataclasses.replace(run, tile_points=tile_points)
    return Rollback(spec, findings, numbers, evaluated, run)
