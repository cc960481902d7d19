"""The numbers of a point, computed without the package: float64, one unpadded example at a time.

It imports nothing of `bertscape`. The checkpoints come from `from_pretrained`, the tokens from
`AutoTokenizer`, a point's parameters from the formula.
"""

import copy
import csv
import dataclasses
import inspect
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

# transformers changes these models while they work. After one short example BigBird's attention is
# no longer sparse, and Reformer's buckets are those of the first example. So each example gets a
# model as it was loaded.
_CHANGED_BY_WORK = ("big_bird", "bigbird_pegasus", "reformer")

# In float64 CANINE gives NaN alone, and Reformer draws other hashes.
_FLOAT32_ALONE = ("canine", "reformer")

Tensors = dict[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class PointNumbers:
    """In the package's order: losses and errors of (train, eval), then their standard errors."""

    values: tuple[float, ...]  # (8,)
    gaps: tuple[tuple[float, ...], tuple[float, ...]]  # between each example's two best logits


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a job is about."""

    checkpoints: tuple[Path, Path, Path]  # θ0, θ1, θ2
    tokenizer: Path
    splits: tuple[Path, Path]  # train and eval
    columns: tuple[str, ...]
    max_length: int


class IndependentNumbers:
    """θ0 + α·δ1 + β·δ2 with θ1's head."""

    def __init__(self, inputs: Inputs, dtype: torch.dtype = torch.float64) -> None:
        start, self.model, other = (_loaded(folder, dtype) for folder in inputs.checkpoints)
        theta0, theta1, theta2 = map(_backbone, (start, self.model, other))
        self.start = theta0
        self.first = {name: theta1[name] - theta0[name] for name in theta0}
        away = {name: theta2[name] - theta0[name] for name in theta0}
        self.length = _norm(self.first)
        self.second_length = _norm(away)
        scale = self.length / self.second_length
        self.second = {name: scale * tensor for name, tensor in away.items()}
        self._changes = _model_type(inputs.checkpoints[1]) in _CHANGED_BY_WORK
        taken = inspect.signature(self.model.forward).parameters
        self.splits = [
            [
                ({name: values for name, values in tokens.items() if name in taken}, label)
                for tokens, label in _examples(inputs, path)
            ]
            for path in inputs.splits
        ]

    def at(self, alpha: float, beta: float) -> PointNumbers:
        with torch.no_grad():
            for name, parameter in self.model.base_model.named_parameters():
                moved = alpha * self.first[name] + beta * self.second[name]
                parameter.copy_(self.start[name] + moved)  # in float64, rounded once if at all
        means, errors, gaps = [], [], []
        for examples in self.splits:
            losses, wrong, gap = self._measure(examples)
            count, rate = len(examples), sum(wrong) / len(examples)
            mean = math.fsum(losses) / count
            spread = math.fsum((loss - mean) ** 2 for loss in losses) / (count - 1)
            means += [mean, rate]
            errors += [math.sqrt(spread / count), math.sqrt(rate * (1 - rate) / count)]
            gaps.append(tuple(gap))
        return PointNumbers((*means, *errors), (gaps[0], gaps[1]))

    @torch.inference_mode()
    def _measure(
        self, examples: list[tuple[Tensors, int]]
    ) -> tuple[list[float], list[bool], list[float]]:
        losses, wrong, gaps = [], [], []
        for tokens, label in examples:
            model = copy.deepcopy(self.model) if self._changes else self.model
            logits = model(**tokens).logits[0].double()
            losses.append(float(torch.logsumexp(logits, 0) - logits[label]))
            wrong.append(int(logits.argmax()) != label)
            best = torch.sort(logits).values
            gaps.append(float(best[-1] - best[-2]))
        return losses, wrong, gaps


def _loaded(folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    if _model_type(folder) in _FLOAT32_ALONE:
        dtype = torch.float32
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
    return model.eval()


def _model_type(folder: Path) -> str:
    return str(AutoConfig.from_pretrained(folder).model_type)


def _backbone(model: torch.nn.Module) -> Tensors:
    return {
        name: parameter.detach().double().clone()
        for name, parameter in model.base_model.named_parameters()
    }


def _norm(direction: Tensors) -> float:
    return math.sqrt(math.fsum(float(tensor.square().sum()) for tensor in direction.values()))


def _examples(inputs: Inputs, path: Path) -> Iterator[tuple[Tensors, int]]:
    tokenizer = AutoTokenizer.from_pretrained(inputs.tokenizer)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            texts = [row[column] for column in inputs.columns]
            tokens = tokenizer(
                *texts, truncation=True, max_length=inputs.max_length, return_tensors="pt"
            )
            yield dict(tokens), int(row["label"])
