"""Means and standard errors of one split."""

import math

import numpy as np
import pytest

from bertscape_workers.data import error_rate, mean_loss


def test_mean_loss() -> None:
    mean, error = mean_loss(np.array([1.0, 2.0, 4.0]))
    assert mean == pytest.approx(7 / 3)
    assert error == pytest.approx(math.sqrt((16 / 9 + 1 / 9 + 25 / 9) / 2) / math.sqrt(3))


def test_one_example_has_no_sample_deviation() -> None:
    mean, error = mean_loss(np.array([2.0]))
    assert mean == 2.0
    assert math.isnan(error)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_passes_through(bad: float) -> None:
    mean, error = mean_loss(np.array([1.0, bad]))
    assert mean == bad or (math.isnan(bad) and math.isnan(mean))
    assert math.isnan(error)


def test_error_rate() -> None:
    assert error_rate(np.array([True, False, False, False])) == (0.25, math.sqrt(0.1875 / 4))
    assert error_rate(np.array([False])) == (0.0, 0.0)
