"""Which evaluator a job gets: the packed one where it knows the model, else the reference."""

import logging
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bertscape_workers.backbone import Vector
from bertscape_workers.devices import pick_device
from bertscape_workers.evaluator import EvaluatorInputs, ReferenceEvaluator
from bertscape_workers.packed_architectures import find_encoder
from bertscape_workers.packed_evaluator import PackedEvaluator
from bertscape_workers.statistics import Outcomes

_log = logging.getLogger(__name__)


class Evaluator(Protocol):
    """What turns a point into its numbers; see `ReferenceEvaluator`."""

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        """The numbers at (α, β), (8,)."""

    def evaluate_backbone(self, backbone: Vector) -> NDArray[np.float64]:
        """The numbers of any backbone, (8,)."""

    def outcomes(self, backbone: Vector) -> tuple[Outcomes, Outcomes]:
        """What any backbone makes of each example of (train, eval)."""


def evaluator_for(inputs: EvaluatorInputs, device: str | None = None) -> Evaluator:
    """The fastest evaluator that can do it, by a fixed rule: equal devices get equal bytes.

    Args:
        inputs: of the job.
        device: as torch names it; default: the GPU where there is one.
    """
    device = device or pick_device()
    known = find_encoder(inputs.config, inputs.layout, set(inputs.head)) is not None
    if known and device.startswith("cpu"):  # the packed one is not yet measured on a GPU
        return PackedEvaluator(inputs, device)
    _say(str(inputs.config.get("model_type")), device)
    return ReferenceEvaluator(inputs, device)


@cache
def _say(model_type: str, device: str) -> None:
    """Once in a process, however many evaluators it makes."""
    _log.warning(
        "evaluating a %s model on %s through the plain Hugging Face model, which is slower",
        model_type,
        device,
    )
