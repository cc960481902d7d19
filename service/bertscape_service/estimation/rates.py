"""From what earlier jobs took to the seconds of another one. Pure functions."""

import math
from collections.abc import Sequence

from bertscape_service.journal import MeasuredRate

NEAREST = 3  # measurements that one estimate rests on
LOOKED_AT = 64  # of the latest


def predicted_seconds(measured: Sequence[MeasuredRate], flops: float, each: float) -> float | None:
    """Seconds of one worker for so many FLOPs; None if nothing was measured.

    What a point takes beside its products weighs more where these are few. So the measurements
    whose points are nearest in size count, and of equally near ones the latest.

    Args:
        measured: of equal workers at the same stage, the latest first.
        flops: of what is to be done; 0 if they are not what takes the time.
        each: FLOPs of one point or step.
    """
    if not measured:
        return None
    nearest = sorted(measured, key=lambda one: _distance(one.flops / one.count, each))[:NEAREST]
    seconds = sum(one.seconds for one in nearest)
    done = sum(one.flops for one in nearest)
    if not (flops and done):
        return seconds / len(nearest)
    return flops * seconds / done


def _distance(one: float, other: float) -> float:
    """Between two sizes, as a ratio."""
    if one <= 0 or other <= 0:
        return 0.0 if one == other else math.inf
    return abs(math.log(one / other))
