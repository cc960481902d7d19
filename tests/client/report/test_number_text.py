"""Numbers as people read them."""

import math

import pytest
from hypothesis import given, strategies as st

from bertscape.readings import Estimate
from bertscape.report.parts.number_text import number, with_error, with_interval

NAN, INFINITE = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234.5, "1,230"),
        (-0.012345, "−0.0123"),
        (2.54e-5, "2.54·10⁻⁵"),
        (1.5e38, "1.50·10³⁸"),
        (NAN, "not known"),
        (INFINITE, "∞"),
        (-INFINITE, "−∞"),
    ],
)
def test_a_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "stderr", "scale", "text"),
    [
        (0.86321, 0.01712, 100, "86.3 ± 1.7"),
        (1.0, 0.0, 100, "100 ± 0"),
        (0.00144612, 4e-7, 1, "0.00144612 ± 0.00000040"),
        (3.21e-5, 1.2e-6, 1, "(3.21 ± 0.12)·10⁻⁵"),
        (-0.0001, 0.02, 1, "0.000 ± 0.020"),
        (NAN, 0.1, 1, "not known"),
        (0.5, NAN, 1, "0.500"),
    ],
)
def test_a_standard_error_has_two_digits(
    value: float, stderr: float, scale: float, text: str
) -> None:
    assert with_error(value, stderr, scale) == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(1.571, 0.06, 1.45, 1.69), "1.57 (1.45 to 1.69)"),
        (Estimate(2.0, 0.1, 1.8, INFINITE), "2.00 (1.80 or more)"),
        (Estimate(36.0, 0.0, 36.0, INFINITE), "36.0 (36.0 or more)"),
        (Estimate(6.6e-5, 1e-5, -2e-6, 9.3e-5), "6.6 (−0.2 to 9.3)·10⁻⁵"),
        (Estimate(2.0, NAN, NAN, NAN), "2.00"),
        (Estimate(NAN, NAN, NAN, NAN), "not known"),
        (Estimate(INFINITE, NAN, NAN, NAN), "∞"),
    ],
)
def test_an_interval(estimate: Estimate, text: str) -> None:
    assert with_interval(estimate) == text


@given(st.floats(), st.floats(), st.floats(), st.sampled_from([1.0, 100.0]))
def test_any_numbers_make_a_short_text(a: float, b: float, c: float, scale: float) -> None:
    low, value, high = sorted((a, b, c))
    assert len(with_interval(Estimate(value, NAN, low, high), scale)) < 80
    assert len(with_error(a, abs(b), scale)) < 60
    assert len(number(a)) < 15
