"""From a point to its numbers: the evaluators, and what checks them.

`plain` holds the plain Hugging Face model and the self-checks, `packed` the fast forward pass.
Touches the device; reads no data file. Knows `plane`, `data`, `checkpoints`, `admission`.
"""

from bertscape_workers.evaluation.evaluators import Evaluator, evaluator_for
from bertscape_workers.evaluation.paired import PairedEvaluator
from bertscape_workers.evaluation.plain import (
    EvaluatorInputs,
    compare,
    expected_numbers,
    losses_alone,
    plain_model,
    refuse_changed,
    untaken,
    with_sample,
)
from bertscape_workers.evaluation.rollback import RollbackEvaluator, RollbackInputs
from bertscape_workers.evaluation.rounding import measure_rounding, sample_points
from bertscape_workers.evaluation.rounds import RoundInputs
from bertscape_workers.evaluation.trajectory import measure_trajectory

__all__ = [
    "Evaluator",
    "EvaluatorInputs",
    "PairedEvaluator",
    "RollbackEvaluator",
    "RollbackInputs",
    "RoundInputs",
    "compare",
    "evaluator_for",
    "expected_numbers",
    "losses_alone",
    "measure_rounding",
    "measure_trajectory",
    "plain_model",
    "refuse_changed",
    "sample_points",
    "untaken",
    "with_sample",
]
