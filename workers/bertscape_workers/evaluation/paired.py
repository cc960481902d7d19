"""Paired differences: each point against θ1, on the same examples.

What two points make of the same examples goes together, so the mean of the examples' differences
has a far smaller standard error than either mean. θ1 is the control variate (Owen, "Monte Carlo
theory, methods and examples", section 8.9): it is evaluated once, while preparing.
"""

import numpy as np
from numpy.typing import NDArray

from bertscape_workers.data import Outcomes, point_changes, point_numbers
from bertscape_workers.evaluation.evaluators import Evaluator


class PairedEvaluator:
    """Does the points of a job that compares each with θ1; a value depends on the point alone.

    Args:
        evaluator: of the job.
        finetuned: what θ1 makes of each example of (train, eval).
    """

    def __init__(self, evaluator: Evaluator, finetuned: tuple[Outcomes, Outcomes]) -> None:
        self._evaluator = evaluator
        self._finetuned = finetuned

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        """The numbers at (α, β).

        Returns:
            (16,) float64 in the order of `bertscape.values.NUMBERS`, then of `CHANGES`. A change
            from or to an infinite loss is infinite, and NaN if both are.
        """
        here = self._evaluator.outcomes_at(alpha, beta)
        return np.concatenate([point_numbers(*here), point_changes(self._finetuned, here)])
