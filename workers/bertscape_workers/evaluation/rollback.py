"""Rollback: the numbers of θ1 with a layer group put back to θ0, against those of θ1.

A group is put back exactly: its parameters are θ0's own, not θ1 − (θ1 − θ0) as float32 has it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertscape_workers.checkpoints import Vector
from bertscape_workers.data import Outcomes, point_changes, point_numbers
from bertscape_workers.evaluation.evaluators import evaluator_for
from bertscape_workers.evaluation.plain import EvaluatorInputs


@dataclass(frozen=True)
class RollbackInputs:
    """All that a rollback's points need: arrays and plain values, mapped between processes."""

    finetuned: EvaluatorInputs  # its origin is θ1; it has no directions
    pretrained: Vector  # (layout.size,): θ0
    moving: tuple[tuple[bool, ...], ...]  # of each group, whether it holds each of the tensors
    outcomes: tuple[Outcomes, Outcomes]  # what θ1 makes of each example of (train, eval)

    def rolled_back(self, group: int) -> Vector:
        """θ1 with the group of this index put back, (layout.size,)."""
        backbone = self.finetuned.origin.copy()
        tensors = self.finetuned.layout.tensors
        for tensor, moves in zip(tensors, self.moving[group], strict=True):
            if moves:
                tensor.view(backbone)[...] = tensor.view(self.pretrained)
        return backbone


class RollbackEvaluator:
    """Does the points of a rollback job; a point's value depends on the point alone."""

    def __init__(self, inputs: RollbackInputs, device: str | None = None) -> None:
        self._inputs = inputs
        self._evaluator = evaluator_for(inputs.finetuned, device)

    def evaluate(self, point: float, _: float) -> NDArray[np.float64]:
        """The numbers of one point.

        Args:
            point: 0 is θ1 itself, 1 the first group put back, and so on.

        Returns:
            (16,) float64 in the order of `bertscape.spec.ROLLBACK_NUMBERS`.
        """
        before = self._inputs.outcomes
        # θ1 was measured by the job's preparing, on an equal device.
        after = self._outcomes(int(point) - 1) if point else before
        here, change = point_numbers(*after), point_changes(before, after)
        return np.concatenate([here[:4], change[:4], here[4:], change[4:]])

    def _outcomes(self, group: int) -> tuple[Outcomes, Outcomes]:
        return self._evaluator.outcomes(self._inputs.rolled_back(group))
