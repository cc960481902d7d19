"""From per-example losses and predictions to the numbers of one split."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a model makes of each example of a split, in the file's order."""

    losses: NDArray[np.float64]  # (n,): cross-entropies in nats, NaN and infinity unaltered
    wrong: NDArray[np.bool_]  # (n,): whether the prediction is wrong


def outcomes_of(logits: torch.Tensor, labels: NDArray[np.int64]) -> Outcomes:
    """What a model makes of examples, from its logits.

    Args:
        logits: (n, K) float64, on the CPU. A prediction from logits with a NaN counts as wrong.
        labels: (n,) in [0, K).
    """
    classes = torch.from_numpy(labels)
    losses = -torch.log_softmax(logits, dim=-1).gather(1, classes[:, None])[:, 0]  # (n,)
    right = (logits.argmax(dim=-1) == classes) & ~logits.isnan().any(dim=-1)
    return Outcomes(losses.numpy(), (~right).numpy())


def point_numbers(train: Outcomes, evaluation: Outcomes) -> NDArray[np.float64]:
    """The numbers of a point, (8,) float64 in the order of `bertscape.values.findings.NUMBERS`."""
    pairs = [
        pair
        for one in (train, evaluation)
        for pair in (mean_loss(one.losses), error_rate(one.wrong))
    ]
    return np.array([*(mean for mean, _ in pairs), *(error for _, error in pairs)])


def point_changes(
    before: tuple[Outcomes, Outcomes], after: tuple[Outcomes, Outcomes]
) -> NDArray[np.float64]:
    """How the numbers of a point change, (8,) float64 in the order of `NUMBERS`.

    Each change is the mean of the differences of the same examples, and its standard error s/√n
    that of this mean.

    Args:
        before: of (train, eval).
        after: the same examples.
    """
    pairs = []
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is the answer
        for old, new in zip(before, after, strict=True):
            pairs.append(mean_loss(new.losses - old.losses))
            pairs.append(mean_loss(new.wrong.astype(np.float64) - old.wrong))
    return np.array([*(mean for mean, _ in pairs), *(error for _, error in pairs)])


def mean_loss(losses: NDArray[np.float64]) -> tuple[float, float]:
    """The mean of per-example losses, or of their differences, and its standard error s/√n.

    Args:
        losses: cross-entropies in nats, (n,) float64; NaN and infinity pass through unaltered.

    Returns:
        (mean, standard error). One example has no sample deviation: its standard error is NaN. No
        example has no mean either.
    """
    count = len(losses)
    if not count:
        return float("nan"), float("nan")
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is the answer
        mean = float(np.sum(losses, dtype=np.float64) / count)
        if count < 2:
            return mean, float("nan")
        deviation = np.std(losses, ddof=1, dtype=np.float64)
    return mean, float(deviation / np.sqrt(count))


def error_rate(wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """The share p of wrong predictions and its standard error √(p(1−p)/n).

    Args:
        wrong: whether each prediction is wrong, (n,) bool; NaN of none.
    """
    count, misses = len(wrong), int(np.count_nonzero(wrong))
    if not count:
        return float("nan"), float("nan")
    rate = misses / count
    return rate, float(np.sqrt(rate * (1.0 - rate) / count))
