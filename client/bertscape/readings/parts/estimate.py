"""A number that was read off a surface, and how far the sample of examples may have moved it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from bertscape.values import InvalidInput, ProblemType

NORMAL_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Estimate:
    """A reading with its standard error and 95 % interval, all in the reading's unit.

    The examples of a split are a sample; a surface holds a standard error for each point, but not
    how the errors of two points go together. What each reading assumes about that stands in
    its own docstring.
    """

    value: float
    stderr: float  # NaN if the surface does not tell
    low: float  # ends of the 95 % interval; NaN if the surface does not tell
    high: float

    @classmethod
    def of(cls, value: float, stderr: float) -> Self:
        """A value whose error is normal."""
        margin = NORMAL_95 * stderr
        return cls(value, stderr, value - margin, value + margin)

    @classmethod
    def shifted(cls, measure: Callable[[float], float]) -> Self:
        """A reading of points that all move by z standard errors at once.

        Args:
            measure: the reading for a given z. It need be neither linear nor monotonic: the
                standard error is half of what lies between z = −1 and z = 1, the interval
                spans what z = −1.96, 0 and 1.96 give.
        """
        value = measure(0.0)
        below, above = measure(-NORMAL_95), measure(NORMAL_95)
        stderr = abs(measure(1.0) - measure(-1.0)) / 2
        if math.isnan(value + below + above):
            return cls(value, stderr, math.nan, math.nan)
        return cls(value, stderr, min(value, below, above), max(value, below, above))

    def joined(self, other: "Estimate", low: float, high: float) -> "Estimate":
        """The same value with the errors of two independent samples, within [low, high].

        Distances from the value add as squares, on each side by itself.
        """
        down = math.hypot(self.value - self.low, other.value - other.low)
        up = math.hypot(self.high - self.value, other.high - other.value)
        if math.isnan(down + up):
            return Estimate(self.value, math.nan, math.nan, math.nan)
        return Estimate(
            self.value,
            math.hypot(self.stderr, other.stderr),
            max(low, self.value - down),
            min(high, self.value + up),
        )


def require_positive(key: str, value: float) -> None:
    """Raise `InvalidInput` if an option of a reading is not a positive number."""
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, value, "a number above 0")
