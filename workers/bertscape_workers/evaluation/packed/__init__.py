"""The packed forward pass: no padding, only what the head needs of the last layer."""

from bertscape_workers.evaluation.packed.architectures import ARCHITECTURES, find_encoder
from bertscape_workers.evaluation.packed.evaluator import PackedEvaluator

__all__ = ["ARCHITECTURES", "PackedEvaluator", "find_encoder"]
