"""Intervals of error rates, and of their differences, that have a width at 0 and 1 too.

There √(p(1−p)/n) is 0, whatever n is. Wilson's interval (1927, "Probable inference, the law of
succession, and statistical inference") is not; of two independent rates Newcombe makes one for the
difference (1998, "Interval estimation for the difference between independent proportions", method
10).
"""

import math

from bertscape.readings import Estimate
from bertscape.readings.parts import NORMAL_95
from bertscape.study import TrainingRun
from bertscape.values import LogEntry


def error_rate(run: TrainingRun) -> Estimate:
    """The final model's error on the evaluation split; an unknown interval is NaN."""
    rate, count = run.eval_error, _examples(run)
    square = NORMAL_95**2
    middle = (rate + square / (2 * count)) / (1 + square / count)
    variance = rate * (1 - rate) / count + square / (4 * count**2)
    half = NORMAL_95 * math.sqrt(variance) / (1 + square / count)
    return Estimate(rate, run.eval_error_stderr, middle - half, middle + half)


def accuracy(run: TrainingRun) -> Estimate:
    """The same of 1 − error."""
    error = error_rate(run)
    return Estimate(1 - error.value, error.stderr, 1 - error.high, 1 - error.low)


def rate_difference(upper: Estimate, lower: Estimate) -> Estimate:
    """By how much one rate is above another, as of independent examples."""
    difference = upper.value - lower.value
    down = math.hypot(upper.value - upper.low, lower.high - lower.value)
    up = math.hypot(upper.high - upper.value, lower.value - lower.low)
    stderr = math.hypot(upper.stderr, lower.stderr)
    return Estimate(difference, stderr, difference - down, difference + up)


def _examples(run: TrainingRun) -> float:
    """How many examples the evaluation split has.

    An output of an older version does not say it. There a rate other than 0 and 1 does, by
    p(1−p)/s²: the final model's, else that of another moment of the training; NaN if there is none.
    """
    if run.output.eval_examples is not None:
        return run.output.eval_examples
    moments: tuple[TrainingRun | LogEntry, ...] = (run, *run.output.log)
    for one in moments:
        rate, stderr = one.eval_error, one.eval_error_stderr
        if rate is not None and stderr and 0 < rate < 1:
            return rate * (1 - rate) / stderr**2
    return math.nan
