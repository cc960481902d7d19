"""From per-example losses and predictions to the numbers of one split."""

import numpy as np
from numpy.typing import NDArray


def mean_loss(losses: NDArray[np.float64]) -> tuple[float, float]:
    """The mean of per-example losses and its standard error s/√n.

    Args:
        losses: cross-entropies in nats, (n,) float64; NaN and infinity pass through unaltered.

    Returns:
        (mean, standard error). One example has no sample deviation: its standard error is NaN.
    """
    count = len(losses)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is the answer
        mean = float(np.sum(losses, dtype=np.float64) / count)
        if count < 2:
            return mean, float("nan")
        deviation = np.std(losses, ddof=1, dtype=np.float64)
    return mean, float(deviation / np.sqrt(count))


def error_rate(wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """The share p of wrong predictions and its standard error √(p(1−p)/n).

    Args:
        wrong: whether each prediction is wrong, (n,) bool.
    """
    count, misses = len(wrong), int(np.count_nonzero(wrong))
    rate = misses / count
    return rate, float(np.sqrt(rate * (1.0 - rate) / count))
