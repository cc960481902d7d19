"""The plain Hugging Face model: the reference evaluator, and the self-checks against it."""

from bertscape_workers.evaluation.plain.changed_weights import refuse_changed
from bertscape_workers.evaluation.plain.evaluator import (
    EvaluatorInputs,
    ReferenceEvaluator,
    as_numbers,
)
from bertscape_workers.evaluation.plain.examples_alone import losses_alone, with_sample
from bertscape_workers.evaluation.plain.self_checks import compare, expected_numbers, plain_model
from bertscape_workers.evaluation.plain.untaken import untaken

__all__ = [
    "EvaluatorInputs",
    "ReferenceEvaluator",
    "as_numbers",
    "compare",
    "expected_numbers",
    "losses_alone",
    "plain_model",
    "refuse_changed",
    "untaken",
    "with_sample",
]
