"""A verdict on a finding: its outcome, the reason and the numbers; and the two rules that decide.

The standard error of a difference is √(s² + s′²), which assumes independent numbers. Two models on
the same examples mostly err together, and then their difference varies less. So the rule is
conservative. `error_rates` has the rules for error rates.
"""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

from bertscape.readings import Estimate

# Units whose values are shown in another form: a share from 0 to 1 in percent, the difference of
# two shares in percentage points, a step as a whole number or, if it is infinite, as "never".
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
        reason = "a region reaches the grid's border, or may reach it: a larger grid might decide"
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
