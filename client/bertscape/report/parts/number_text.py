"""Numbers as people read them, with as many digits as their uncertainty allows."""

import math

from bertscape.readings import CircleRise, Estimate

UNKNOWN = "not known"
_MOST_DECIMALS = 12
_SMALL, _LARGE = 1e-3, 1e7  # numbers outside these have a power of ten
_LEAST = 1e-300  # what is smaller has no inverse, and is no number that anyone reads
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """So many significant digits.

    >>> number(1234.5), number(0.012345), number(2.5e-5, 2), number(float("inf"))
    ('1,230', '0.0123', '2.5·10⁻⁵', '∞')
    """
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not _SMALL <= abs(value) < _LARGE:
        text, _, power = f"{value:.{digits - 1}e}".partition("e")
        return text.replace("-", "−") + _ten_to(int(power))
    rounded = round(value, digits - 1 - exponent)
    decimals = max(0, digits - 1 - exponent)
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def with_error(value: float, stderr: float, scale: float = 1.0) -> str:
    """A value ± its standard error, to two digits of the latter.

    >>> with_error(0.86321, 0.01712, scale=100), with_error(3.21e-5, 1.2e-6)
    ('86.3 ± 1.7', '(3.21 ± 0.12)·10⁻⁵')
    """
    value, stderr = value * scale, stderr * scale
    if not (math.isfinite(value) and math.isfinite(stderr)):
        return number(value)
    if stderr == 0:  # of an error rate of 0, say
        return f"{number(value)} ± 0"
    factor, power = _power(abs(value), stderr)
    places = decimals_of(stderr * factor)
    text = f"{_fixed(value * factor, places)} ± {_fixed(stderr * factor, places)}"
    return f"({text}){power}" if power else text


def with_interval(estimate: Estimate, scale: float = 1.0, at_least: bool = False) -> str:
    """A value and its 95 % interval, to the digits of its width.

    >>> with_interval(Estimate(1.571, 0.06, 1.45, 1.69))
    '1.57 (1.45 to 1.69)'
    >>> with_interval(Estimate(2.0, 0.1, 1.8, float("inf")), at_least=True)
    '≥ 2.00 (1.80 or more)'
    """
    mark, value = "≥ " if at_least else "", estimate.value * scale
    low, high = estimate.low * scale, estimate.high * scale
    if not math.isfinite(value + low) or math.isnan(high):
        return mark + number(value)
    ends = [value, low, high] if math.isfinite(high) else [value, low]
    factor, power = _power(*map(abs, ends))
    # An interval of no width, as of a region that fills the grid: as many digits as alone.
    width = (max(ends) - min(ends)) or max(map(abs, ends)) / 10
    places = decimals_of(width * factor / (len(ends) - 1))
    texts = [_fixed(end * factor, places) for end in ends]
    span = f"{texts[1]} to {texts[2]}" if len(ends) == 3 else f"{texts[1]} or more"
    return f"{mark}{texts[0]} ({span}){power}"


def mean_rise(circle: CircleRise) -> str:
    """The mean rise on a circle, and how much of the circle it is of where that is not all."""
    part = "" if circle.known in (0, 1) else f", {100 * circle.known:.0f} % known"
    return with_interval(circle.mean) + part


def _power(*sizes: float) -> tuple[float, str]:
    """What to multiply by if all are small or one is huge, and the power of ten behind."""
    largest = max(sizes)
    if largest < _LEAST or _SMALL <= largest < _LARGE:
        return 1.0, ""
    exponent = math.floor(math.log10(largest))
    return 10.0**-exponent, _ten_to(exponent)


def _ten_to(exponent: int) -> str:
    return f"·10{str(exponent).translate(_SUPERSCRIPTS)}"


def decimals_of(stderr: float) -> int:
    """How many decimals show two digits of an error; three if there is none."""
    if not (math.isfinite(stderr) and stderr > 0):
        return 3
    return min(max(0, 1 - math.floor(math.log10(stderr))), _MOST_DECIMALS)


def _fixed(value: float, places: int) -> str:
    if not math.isfinite(value):
        return number(value)
    text = f"{value:,.{places}f}"
    # A zero that was rounded to has no sign.
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")
