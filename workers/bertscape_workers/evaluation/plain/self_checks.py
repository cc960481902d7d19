"""The self-checks: each checkpoint on the plane, evaluated by separate code.

Only the evaluator's answer is used here. `from_pretrained` loads the backbone, not the plane's
vectors. Other code cuts the batches, in another order. The cross-entropy is torch's. So a fault in
the plane, in the placing of parameters or in the batching shows as a difference.

Everything is computed on the job's device, in fp32 for every precision of the job.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from bertscape.values import Numbers, SelfCheck
from bertscape_workers.checkpoints import CheckpointFiles, arithmetic, renamed
from bertscape_workers.data import TokenizedSplit
from bertscape_workers.evaluation.plain.batches import restore_attention

RELATIVE, ABSOLUTE = 1e-5, 1e-7  # |ΔJ| ≤ 1e-5·|J| + 1e-7
NEAR_TIE = 1e-4  # two best logits this close may swap by rounding
BATCH = 32


@dataclass(frozen=True, slots=True)
class Expected:
    """What the plain model gives at one checkpoint."""

    numbers: Numbers
    near_ties: tuple[int, int]  # examples of (train, eval) whose two best logits nearly tie
    examples: tuple[int, int]


def plain_model(
    backbone: CheckpointFiles, finetuned: CheckpointFiles, device: str = "cpu"
) -> PreTrainedModel:
    """A freshly loaded backbone with θ1's head, in float32 and evaluation mode, on a device."""
    head = _head(finetuned)  # before the other model is loaded: one at a time
    model = _from_pretrained(backbone, finetuned)
    model.load_state_dict(head, strict=False)
    model.train(mode=False)
    on_device: PreTrainedModel = model.to(device)  # type: ignore[arg-type]  # its stub is wrong
    return on_device


def _head(finetuned: CheckpointFiles) -> dict[str, torch.Tensor]:
    model = _from_pretrained(finetuned, finetuned)
    inside = f"{model.base_model_prefix}."
    state = model.state_dict().items()
    return {name: value for name, value in state if not name.startswith(inside)}


def _from_pretrained(files: CheckpointFiles, finetuned: CheckpointFiles) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(
        finetuned.folder, local_files_only=True, trust_remote_code=False
    )
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        files.folder,
        config=config,
        key_mapping=renamed(files),
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # a head of another label count; θ1's takes its place
    )
    return model


def expected_numbers(
    model: PreTrainedModel, train: TokenizedSplit, evaluation: TokenizedSplit
) -> Expected:
    """The four numbers and their standard errors, as the plain model gives them on its device."""
    results = [_measure(model, split) for split in (train, evaluation)]
    means = [value for mean, _, _ in results for value in mean]
    errors = [value for _, error, _ in results for value in error]
    return Expected(
        numbers=_numbers([*means, *errors]),
        near_ties=(results[0][2], results[1][2]),
        examples=(len(train), len(evaluation)),
    )


def compare(
    checkpoint: str,
    at: tuple[float, float],
    expected: Expected,
    found: NDArray[np.float64],
    precision: str,
) -> SelfCheck:
    """Record both answers. Only fp32 has a tolerance."""
    numbers = _numbers([float(value) for value in found])
    return SelfCheck(
        checkpoint=checkpoint,
        alpha=at[0],
        beta=at[1],
        expected=expected.numbers,
        found=numbers,
        passed=_agrees(expected, numbers) if precision == "fp32" else None,
    )


def _agrees(expected: Expected, found: Numbers) -> bool:
    for split in (0, 1):
        loss, error = 2 * split, 2 * split + 1
        if not _losses_agree(expected.numbers[loss], found[loss]):
            return False
        moved = abs(expected.numbers[error] - found[error]) * expected.examples[split]
        if round(moved) > expected.near_ties[split]:
            return False
    return True


def _losses_agree(expected: float, found: float) -> bool:
    if not (math.isfinite(expected) and math.isfinite(found)):
        return False  # even if both are alike: it says nothing about the evaluator
    return abs(found - expected) <= RELATIVE * abs(expected) + ABSOLUTE


def _numbers(values: list[float]) -> Numbers:
    a, b, c, d, e, f, g, h = values
    return (a, b, c, d, e, f, g, h)


def _measure(
    model: PreTrainedModel, split: TokenizedSplit
) -> tuple[tuple[float, float], tuple[float, float], int]:
    """((J, error rate), their standard errors, near ties) of one split."""
    count = len(split)
    # Allocated first. Thousands of small results would lie between the work spaces of the batches,
    # and no batch could use the space of another one again.
    classes: int = model.config.num_labels  # type: ignore[assignment]  # its stub allows None
    logits = torch.empty((count, classes), dtype=torch.float64)
    for examples, batch in _batches(model, split):
        logits[examples] = exact_logits(model, batch)
    labels = torch.from_numpy(split.labels)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    wrong = (logits.argmax(1) != labels) | logits.isnan().any(1)
    rate = int(wrong.sum()) / count
    best = logits.topk(2, dim=1).values
    ties = int((best[:, 0] - best[:, 1] <= NEAR_TIE).sum())
    deviation = float(losses.std()) if count > 1 else math.nan
    spread = (deviation / math.sqrt(count), math.sqrt(rate * (1 - rate) / count))
    return (float(losses.mean()), rate), spread, ties


def exact_logits(model: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    """(batch, K) float64, computed on the model's device in IEEE float32."""
    there = {name: values.to(model.device) for name, values in batch.items()}
    restore_attention(model)
    with torch.no_grad(), _exact(model.device):
        logits: torch.Tensor = model(**there).logits
    return logits.to("cpu", torch.float64)


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """A context in which float32 products are those of IEEE float32."""
    if device.type != "cuda":
        yield
        return
    # torch's fused attention splits float32 factors in its own way.
    with arithmetic("fp32"), sdpa_kernel(SDPBackend.MATH):
        yield


def _batches(
    model: PreTrainedModel, split: TokenizedSplit
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """(places in the file, inputs of the model) of examples of one length, without padding."""
    ends = np.cumsum(split.lengths)
    end: Any = getattr(model.config, "eos_token_id", None)
    alike: dict[tuple[int, int], list[int]] = {}
    for example, length in enumerate(split.lengths.tolist()):
        tokens = split.tokens[ends[example] - length : ends[example]].tolist()
        # BART needs the same number of end tokens in a whole batch.
        spelled = sum(token == end for token in tokens) if isinstance(end, int) else 0
        alike.setdefault((length, spelled), []).append(example)
    # Without a padding token transformers classifies one example at a time.
    no_padding = getattr(model.config.get_text_config(), "pad_token_id", None) is None
    most = 1 if no_padding else BATCH
    for (length, _), examples in alike.items():
        for first in range(0, len(examples), most):
            some = examples[first : first + most]
            inside = [slice(int(ends[example]) - length, int(ends[example])) for example in some]
            ids = torch.tensor(np.stack([split.tokens[one] for one in inside]), dtype=torch.long)
            batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            if split.token_types is not None:
                types = np.stack([split.token_types[one] for one in inside])
                batch["token_type_ids"] = torch.tensor(types, dtype=torch.long)
            yield some, batch
