"""Numbers as people read them, with as many digits as their uncertainty allows."""

import math

from bertscape.readings import Estimate

UNKNOWN = "not known"
_MOST_DECIMALS = 6


def number(value: float, digits: int = 3) -> str:
    """So many significant digits.

    >>> number(1234.5), number(0.012345), number(float("inf"))
    ('1,230', '0.0123', '∞')
    """
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -5 <= exponent <= 6:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    rounded = round(value, digits - 1 - exponent)
    decimals = max(0, digits - 1 - exponent)
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def with_error(value: float, stderr: float, scale: float = 1.0) -> str:
    """A value ± its standard error, to two digits of the latter.

    >>> with_error(0.86321, 0.01712, scale=100)
    '86.3 ± 1.7'
    """
    if not (math.isfinite(value) and math.isfinite(stderr)):
        return number(value * scale)
    places = decimals_of(stderr * scale)
    return f"{_fixed(value * scale, places)} ± {_fixed(stderr * scale, places)}"


def interval(estimate: Estimate, scale: float = 1.0) -> str:
    """The 95 % interval, to the digits of its width; empty where it is not known.

    >>> interval(Estimate(2.0, 0.1, 1.8, float("inf")))
    '1.80 or more'
    """
    low, high = estimate.low * scale, estimate.high * scale
    if math.isnan(low + high):
        return ""
    places = _places(estimate, scale)
    if math.isinf(high):
        return f"{_fixed(low, places)} or more"
    return f"{_fixed(low, places)} to {_fixed(high, places)}"


def with_interval(estimate: Estimate, scale: float = 1.0, at_least: bool = False) -> str:
    """A value and its 95 % interval, as in "1.57 (1.45 to 1.69)"."""
    mark, span = "≥ " if at_least else "", interval(estimate, scale)
    if not (span and math.isfinite(estimate.value)):
        return mark + number(estimate.value * scale)
    return f"{mark}{_fixed(estimate.value * scale, _places(estimate, scale))} ({span})"


def _places(estimate: Estimate, scale: float) -> int:
    """Decimals by half of the interval's wider side: about one standard error."""
    sides = (estimate.value - estimate.low, estimate.high - estimate.value)
    return decimals_of(
        max((side for side in sides if math.isfinite(side)), default=math.nan) * scale / 2
    )


def decimals_of(stderr: float) -> int:
    """How many decimals show two digits of an error; three where there is none."""
    if not (math.isfinite(stderr) and stderr > 0):
        return 3
    return min(max(0, 1 - math.floor(math.log10(stderr))), _MOST_DECIMALS)


def _fixed(value: float, places: int) -> str:
    if not math.isfinite(value):
        return number(value)
    text = f"{value:,.{places}f}"
    # A zero that was rounded to has no sign.
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")
