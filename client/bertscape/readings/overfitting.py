"""What training on does once the training loss is as low as it gets."""

import math
from dataclasses import dataclass

import numpy as np

from bertscape.readings.parts import Estimate, reading
from bertscape.results import Surface
from bertscape.values import NUMBERS, InvalidInput, ProblemType

DEFAULT_WITHIN = 1.0  # standard errors


@dataclass(frozen=True, slots=True)
class Change:
    """What a later checkpoint has more than the one at which the training loss was down."""

    step: int  # of the later checkpoint
    eval_loss: Estimate  # nat
    eval_error: Estimate  # 1 − accuracy


@dataclass(frozen=True, slots=True)
class Overfitting:
    """The evaluation split along a trajectory, after the minimum of the training loss."""

    minimum_step: int  # of the checkpoint with the lowest training loss
    minimum: float  # that training loss, nat
    from_step: int  # the first checkpoint whose training loss is down to it, within its error
    changes: tuple[Change, ...]  # of every later checkpoint against that one, by step; or empty

    @property
    def last(self) -> Change | None:
        """The change up to the end of the trajectory; None if the minimum is its end."""
        return self.changes[-1] if self.changes else None


@reading
def overfitting(surface: Surface, within: float = DEFAULT_WITHIN) -> Overfitting | None:
    """Measure how evaluation loss and error change after the minimum of the training loss.

    Training losses often creep down to the very last checkpoint. The minimum therefore counts as
    reached at the first checkpoint whose training loss is within so many standard errors of the
    lowest; `within=0` asks for the lowest itself. Earlier and later are by step, in whatever order
    the trajectory lists its checkpoints. All numbers are the trajectory's true ones: each
    checkpoint's own backbone, but with θ1's head, so that what the head learned later is in
    all of them.

    The paper trains for 5, 10 and 20 epochs and sees no rise of the generalization error
    (Hao et al. 2019).

    Error: the checkpoints are compared on the same examples, and of two checkpoints of one run it
    is assumed that their errors do not go against each other. The standard error of a change is
    then at most √(s² + s′²), which is given.

    Args:
        surface: with a trajectory.
        within: standard errors of the lowest training loss; 0 or more.

    Returns:
        None without a trajectory, or if none of its training losses is finite.

    Raises:
        InvalidInput: `within` is below 0 or not finite.
    """
    if not (math.isfinite(within) and within >= 0):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "within", within, "a number from 0")
    found = surface.trajectory
    if found is None:
        return None
    order = np.argsort(found.step, kind="stable")
    steps = [found.step[place] for place in order]
    numbers = np.array(found.numbers, dtype=np.float64).reshape(-1, len(NUMBERS))[order]  # (T, 8)
    loss = np.where(np.isfinite(numbers[:, 0]), numbers[:, 0], np.inf)
    if not np.isfinite(loss).any():
        return None
    lowest = int(np.argmin(loss))
    stderr = numbers[lowest, NUMBERS.index("train_loss_stderr")]
    allowance = within * stderr if np.isfinite(stderr) else 0.0
    first = int(np.argmax(loss <= loss[lowest] + allowance))
    return Overfitting(
        minimum_step=steps[lowest],
        minimum=float(loss[lowest]),
        from_step=steps[first],
        changes=tuple(
            Change(
                step=steps[later],
                eval_loss=_change(numbers[first], numbers[later], "eval_loss"),
                eval_error=_change(numbers[first], numbers[later], "eval_error"),
            )
            for later in range(first + 1, len(loss))
        ),
    )


def _change(
    before: np.ndarray[tuple[int], np.dtype[np.float64]],
    after: np.ndarray[tuple[int], np.dtype[np.float64]],
    name: str,
) -> Estimate:
    value, stderr = NUMBERS.index(name), NUMBERS.index(f"{name}_stderr")
    with np.errstate(invalid="ignore"):
        difference = float(after[value] - before[value])
    return Estimate.of(difference, math.hypot(before[stderr], after[stderr]))
