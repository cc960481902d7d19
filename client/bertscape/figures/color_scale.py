"""Which values share a colour: levels for losses that span decades, and for error rates."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

_LOWEST_LOSS = 1e-3  # nats; whatever is lower is equally well learned
_MOST_DECADES = 5
_FILLED = 24  # bands of colour
_MOST_LINES = 9
_MANTISSAS = (  # in tenths; from many round values a decade to one
    tuple(range(10, 100)),
    tuple(range(10, 100, 5)),
    (10, 20, 30, 40, 50, 70),
    (10, 20, 50),
    (10, 30),
    (10,),
)
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_FILL_STEPS = (0.001, 0.002, 0.0025, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1)


Extend: TypeAlias = Literal["neither", "both", "min", "max"]
MaskedValues: TypeAlias = "np.ma.MaskedArray[tuple[int, ...], np.dtype[np.float64]]"


@dataclass(frozen=True, slots=True)
class ColorScale:
    """Levels of one scale, which several pictures may share."""

    levels: NDArray[np.float64]  # edges of the colour bands, increasing
    lines: NDArray[np.float64]  # round values within, for labelled lines and ticks
    logarithmic: bool

    extend: Extend  # at which ends values lie beyond the scale

    def clipped(self, values: NDArray[np.float64]) -> MaskedValues:
        """The values cut to the scale's ends, infinity included; NaN is masked."""
        cut = np.clip(values, self.levels[0], self.levels[-1])
        masked: MaskedValues = np.ma.masked_invalid(cut)
        return masked


def loss_scale(losses: NDArray[np.float64]) -> ColorScale:
    """Evenly spaced logarithms: the basin stays readable though the edges are huge.

    >>> loss_scale(np.array([0.1, 10.0])).lines
    array([ 0.1,  0.2,  0.5,  1. ,  2. ,  5. , 10. ])
    """
    finite = losses[np.isfinite(losses)]
    low = max(_LOWEST_LOSS, float(finite.min())) if finite.size else 0.1
    high = float(finite.max()) if finite.size else 1.0
    high = min(max(high, low * 1.05), low * 10.0**_MOST_DECADES)
    levels = np.geomspace(low, high, _FILLED + 1)
    levels[[0, -1]] = low, high  # geomspace may miss its ends by a rounding
    return ColorScale(levels, _round_values(low, high), True, _extend(losses, levels))


def error_scale(errors: NDArray[np.float64]) -> ColorScale:
    """Even steps between round values around the errors that occur."""
    finite = errors[np.isfinite(errors)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    line_step = _step(high - low, _MOST_LINES, _STEPS)
    fill_step = _step(high - low, _FILLED, _FILL_STEPS)
    first, last = np.floor(low / fill_step), np.ceil(high / fill_step)
    levels = np.arange(first, max(last, first + 1) + 1) * fill_step
    lines = np.arange(np.ceil(low / line_step), np.floor(high / line_step) + 1) * line_step
    return ColorScale(levels, lines, False, _extend(errors, levels))


def _extend(values: NDArray[np.float64], levels: NDArray[np.float64]) -> Extend:
    below, above = bool((values < levels[0]).any()), bool((values > levels[-1]).any())
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _step(width: float, most: int, steps: tuple[float, ...]) -> float:
    """The smallest of these steps that takes at most `most` of it over the width."""
    return next((step for step in steps if width <= most * step), steps[-1])


def _round_values(low: float, high: float) -> NDArray[np.float64]:
    """1, 2, 5, 10, … within the range; fewer where the range is wide, more where it is narrow."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for mantissas in (
        range(10, 100),
        range(10, 100, 5),
        (10, 20, 30, 40, 50, 70),
        (10, 20, 50),
        (10, 30),
        (10,),
    ):
        values = np.array([m * 10.0 ** (d - 1) for d in decades for m in mantissas])
        within = values[(values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))]
        if len(within) <= _MOST_LINES:
            break
    return within
