"""Rounds: all points again and again, each time on further training examples."""

from dataclasses import dataclass, replace

from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation.evaluators import evaluator_for
from bertscape_workers.evaluation.paired import PairedEvaluator
from bertscape_workers.evaluation.plain import EvaluatorInputs


@dataclass(frozen=True)
class RoundInputs:
    """All that a sharpening job's points need: arrays and plain values, mapped between processes.

    Attributes:
        first: The first round, with both splits, and what θ1 makes of their examples.
        further: The training examples that each further round adds.
        finetuned_at: Where θ1 lies, (α, β).
    """

    first: EvaluatorInputs
    further: tuple[TokenizedSplit, ...]
    finetuned_at: tuple[float, float]

    def evaluator(self, number: int, device: str | None) -> PairedEvaluator:
        """What does the points of one round, from 0, on the examples that it adds.

        The evaluation split belongs to the first round: in the others its numbers are NaN.
        """
        if number == 0:
            assert self.first.finetuned is not None  # noqa: S101  as it was made
            return PairedEvaluator(evaluator_for(self.first, device), self.first.finetuned)
        further, nothing = self.further[number - 1], self.first.eval.emptied
        inputs = replace(self.first, train=further, eval=nothing, finetuned=None)
        evaluator = evaluator_for(inputs, device)
        return PairedEvaluator(evaluator, evaluator.outcomes_at(*self.finetuned_at))
