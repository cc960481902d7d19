"""What is said of a finding: an outcome, why, and the numbers; and the two rules that decide.

Standard errors of differences are √(s² + s′²), as of independent numbers. On the same examples two
models' errors mostly go together, and their difference then varies less: the rule decides too
seldom rather than too often. Those of error rates are in `error_rates`.
"""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

from bertscape.readings import Estimate

# Units that a fact's value is not shown in as it is: a share from 0 to 1 is shown in percent, the
# difference of two shares in percentage points, a step as a whole number, infinity as never.
SHARE, POINTS, STEP = "share", "difference of shares", "step"


class Outcome(enum.StrEnum):
    """What a study says of one finding."""

    HOLDS = "holds"
    CONTRADICTED = "does not hold"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Fact:
    """One number that a verdict rests on."""

    name: str
    value: Estimate
    unit: str  # "" if it has none
    at_least: bool = False  # the true number may be larger: the grid does not show all of it


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, why, and the numbers."""

    outcome: Outcome
    reason: str  # a sentence without a full stop
    facts: tuple[Fact, ...] = ()


def undecided(reason: str, facts: Iterable[Fact] = ()) -> Judgement:
    """The outcome if something is missing or too uncertain."""
    return Judgement(Outcome.UNDECIDED, reason, tuple(facts))


def apart(
    larger: Estimate,
    smaller: Estimate,
    facts: tuple[Fact, ...],
    word: str,
    opposite: str,
) -> Judgement:
    """Judge by two intervals; the finding is that the first lies above the second."""
    if any(math.isnan(end) for one in (larger, smaller) for end in (one.low, one.high)):
        return undecided("an interval is not known", facts)
    if larger.low > smaller.high:
        return Judgement(Outcome.HOLDS, f"{word}: the intervals do not meet", facts)
    if larger.high < smaller.low:
        return Judgement(Outcome.CONTRADICTED, f"{opposite}: the intervals do not meet", facts)
    if math.isinf(larger.high) or math.isinf(smaller.high):
        reason = "a region reaches the grid's border, or may: a larger grid might decide"
        return undecided(reason, facts)
    return undecided("the intervals meet", facts)


def difference_of(upper: tuple[float, float], lower: tuple[float, float]) -> Estimate:
    """Of two (value, standard error), by the rule in the module's docstring."""
    return Estimate.of(upper[0] - lower[0], math.hypot(upper[1], lower[1]))


def by_sign(difference: Estimate, facts: tuple[Fact, ...], word: str, opposite: str) -> Judgement:
    """Judge by the interval of a difference; the finding is that it is above 0."""
    if math.isnan(difference.low + difference.high):
        return undecided("an interval is not known", facts)
    if difference.low > 0:
        return Judgement(Outcome.HOLDS, f"{word}: the interval lies above 0", facts)
    if difference.high < 0:
        return Judgement(Outcome.CONTRADICTED, f"{opposite}: the interval lies below 0", facts)
    return undecided("the interval includes 0", facts)
