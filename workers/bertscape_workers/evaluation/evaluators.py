"""Which evaluator a job gets: the packed one if it knows the model, else the reference."""

import logging
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bertscape.values import EvaluatorName
from bertscape_workers.checkpoints import Vector, pick_device
from bertscape_workers.data import Outcomes
from bertscape_workers.evaluation.packed import (
    ARCHITECTURES,
    PackedEvaluator,
    attention_varlen as packed_attention_varlen,
    find_encoder,
)
from bertscape_workers.evaluation.plain import EvaluatorInputs, ReferenceEvaluator

_log = logging.getLogger(__name__)


class Evaluator(Protocol):
    """What turns a point into its numbers; see `ReferenceEvaluator`."""

    @property
    def name(self) -> EvaluatorName:
        """Which of the evaluators it is, as `Findings.evaluator` has it."""

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        """The numbers at (α, β), (8,)."""

    def outcomes_at(self, alpha: float, beta: float) -> tuple[Outcomes, Outcomes]:
        """What the point (α, β) makes of each example of (train, eval)."""

    def evaluate_backbone(self, backbone: Vector) -> NDArray[np.float64]:
        """The numbers of any backbone, (8,)."""

    def outcomes(self, backbone: Vector) -> tuple[Outcomes, Outcomes]:
        """What any backbone makes of each example of (train, eval)."""


def evaluator_for(inputs: EvaluatorInputs, device: str | None = None) -> Evaluator:
    """The fastest evaluator that can do it, by a fixed rule: equal devices get equal bytes.

    Args:
        inputs: of the job; the device must have their precision.
        device: as torch names it; default: the GPU if there is one.
    """
    device = device or pick_device()
    reason = _not_packed(inputs)
    if reason is None:
        return PackedEvaluator(inputs, device)
    say_once(str(inputs.config.get("model_type")), device, reason)
    return ReferenceEvaluator(inputs, device)


def _not_packed(inputs: EvaluatorInputs) -> str | None:
    """Why the packed evaluator cannot do it; None if it can."""
    encoder = find_encoder(inputs.config, inputs.layout, set(inputs.head))
    if encoder is None:
        if inputs.config.get("model_type") in ARCHITECTURES:
            return "it has tensors or settings that the packed evaluator does not know"
        return "the packed evaluator does not know this model type"
    if inputs.precision == "bf16" and not packed_attention_varlen.fits(
        encoder.width, encoder.heads
    ):
        return f"no attention kernel takes heads of size {encoder.width // encoder.heads} in bf16"
    return None


@cache
def say_once(model_type: str, device: str, reason: str) -> None:
    """Once in a process, however many evaluators it makes."""
    _log.warning(
        "evaluating a %s model on %s through the plain Hugging Face model, which is slower: %s",
        model_type,
        device,
        reason,
    )
