"""Which steps a logged training loss tells of."""

import numpy as np
from numpy.typing import NDArray


def middle_steps(logged: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean step of each logged training loss, (n,) → (n,).

    A loss is logged at the end of the steps that it is the mean of: of those after the entry
    before, or of all so far. Longer trainings log less often, and at that end their falling loss
    would look too high against a shorter one's.

    Args:
        logged: steps of the optimizer at which a loss was logged, increasing.

    >>> middle_steps(np.array([1.0, 4.0, 6.0]))
    array([1. , 3. , 5.5])
    """
    before = np.concatenate([[0.0], logged[:-1]])
    middles: NDArray[np.float64] = logged - (logged - before - 1) / 2
    return middles
