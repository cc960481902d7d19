"""Some examples through the plain model one at a time, as its own users would run them.

The self-checks share the split's arrays with the evaluator. A fault in these arrays would show in
neither. Here each example comes from the tokenizer, unpadded and alone.
"""

import inspect
import logging
import math
from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from bertscape.values import InvalidInput, ProblemType, SelfCheck
from bertscape_workers.checkpoints import CheckpointFiles
from bertscape_workers.data import Outcomes, SampleExample, TokenizedSplit
from bertscape_workers.evaluation.plain.self_checks import exact_logits
from bertscape_workers.evaluation.plain.untaken import untaken

_log = logging.getLogger(__name__)

# For one example's loss. Its rounding is ten times that of a mean; faults are far above it.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5

LossesAlone = Mapping[int, float]  # by the example's place in the file


def losses_alone(
    model: PreTrainedModel, splits: Mapping[str, TokenizedSplit], finetuned: CheckpointFiles
) -> dict[str, LossesAlone]:
    """The cross-entropy of each split's sample, from float64 logits.

    Args:
        model: the plain one.
        splits: by name, train and eval.
        finetuned: θ1, which a refusal names.

    Raises:
        InvalidInput: the model cannot classify an example; the message quotes the model's error.
    """
    return {
        name: {one.place: _loss(model, one, name, finetuned) for one in split.sample}
        for name, split in splits.items()
    }


def _loss(
    model: PreTrainedModel, example: SampleExample, split: str, finetuned: CheckpointFiles
) -> float:
    known = inspect.signature(model.forward).parameters
    batch = {
        name: torch.tensor([values]) for name, values in example.columns.items() if name in known
    }
    told = (
        f"an example of {len(example.columns['input_ids'])} tokens alone, "
        f"data.{split} number {example.place + 1}"
    )
    with untaken(finetuned.key, finetuned.source, str(model.config.model_type), told):
        logits = exact_logits(model, batch)
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor([example.label])))


def with_sample(
    check: SelfCheck,
    alone: Mapping[str, LossesAlone],
    found: Mapping[str, Outcomes],
    plain: tuple[CheckpointFiles, str] | None,
) -> SelfCheck:
    """A self-check that fails if an example has another loss alone than among the others.

    Args:
        check: of the splits. It stays as it is if it has no tolerance.
        alone: losses of some examples of each split.
        found: the evaluator's outcomes of each split.
        plain: θ1 and its model type if the evaluator is the plain model: then θ1 is refused.

    Raises:
        InvalidInput: more than one example of a split differs. One may differ: rounding can make a
            model with limited experts choose other experts.
    """
    if check.passed is None:
        return check
    for split, losses in alone.items():
        apart = {
            place: other
            for place, loss in losses.items()
            if not _agree(loss, other := float(found[split].losses[place]))
        }
        if plain is not None and len(apart) > 1:
            place, other = next(iter(apart.items()))
            finetuned, model_type = plain
            raise InvalidInput.of(
                ProblemType.INVALID_CHECKPOINT,
                finetuned.key,
                finetuned.source,
                "a model whose answer to an example depends on that example alone",
                f"is a {model_type} model: an example of data.{split} (number {place + 1}) has the "
                f"loss {losses[place]:.6g} alone, and {other:.6g} among the others",
            )
        for place, other in apart.items():
            _log.warning(
                "self-check of %s: data.%s number %d has the loss %r alone, %r among the others",
                *(check.checkpoint, split, place + 1, losses[place], other),
            )
        if apart:
            check = check.model_copy(update={"passed": False})
    return check


def _agree(alone: float, found: float) -> bool:
    if not (math.isfinite(alone) and math.isfinite(found)):
        return alone == found or (math.isnan(alone) and math.isnan(found))
    return abs(found - alone) <= _RELATIVE * abs(alone) + _ABSOLUTE
