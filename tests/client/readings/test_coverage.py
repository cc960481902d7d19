"""The intervals hold the truth at least as often as they say, on samples of examples drawn anew.

Each example has a loss of its own over the whole plane, so that the errors of the points go
together as those of real examples do; a surface sees only their mean and its standard error.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bertscape.readings import Readings, curvature, measure

EXAMPLES, DRAWS = 60, 80
THRESHOLD, RADIUS = 0.5, 0.4

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]


def mean_and_stderr(losses: Formula) -> tuple[Formula, Formula]:
    """Of per-example losses, (points, examples)."""

    def mean(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return losses(alpha[:, None], beta[:, None]).mean(axis=1)

    def stderr(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return losses(alpha[:, None], beta[:, None]).std(axis=1, ddof=1) / np.sqrt(EXAMPLES)

    return mean, stderr


def bowl_of_each(generator: np.random.Generator) -> Formula:
    """Each example a bowl of its own steepness and middle."""
    steepness = generator.uniform(0.5, 1.5, EXAMPLES)
    x, y = generator.normal(((1.0,), (0.0,)), 0.3, (2, EXAMPLES))
    return lambda a, b: 0.05 + steepness * ((a - x) ** 2 + (b - y) ** 2)


def bowls(generator: np.random.Generator) -> tuple[Formula, Formula]:
    return mean_and_stderr(bowl_of_each(generator))


def paired_with_the_end(losses: Formula) -> Formula:
    """The standard error of the rise above θ1, from the examples' differences."""
    at_the_end = losses(np.array([[1.0]]), np.array([[0.0]]))
    return mean_and_stderr(lambda a, b: losses(a, b) - at_the_end)[1]


def margins(generator: np.random.Generator) -> tuple[Formula, Formula]:
    """Each example a logistic loss, of a margin that falls away from θ1 in its own way."""
    margin, slope = generator.normal(3, 2, EXAMPLES), generator.normal(0, 1.5, EXAMPLES)
    bend = generator.normal(-2, 1, EXAMPLES)
    return mean_and_stderr(
        lambda a, b: np.logaddexp(0, -(margin + slope * (a - 1) + bend * (a - 1) ** 2 + 0 * b))
    )


@pytest.fixture
def drawn(surface_of: Any) -> list[Readings]:
    generator = np.random.default_rng(3)
    found = []
    for _ in range(DRAWS):
        loss, stderr = bowls(generator)
        surface = surface_of(loss, stderr=stderr, x=(-0.5, 2.5, 31), y=(-1.5, 1.5, 31))
        found.append(measure(surface, thresholds=[THRESHOLD], radii=[RADIUS]))
    return found


def test_the_intervals_hold_the_truth(drawn: list[Readings]) -> None:
    # Over all examples there are, the mean loss is a bowl of steepness 1 around θ1.
    truths = {
        "area": (np.pi * THRESHOLD, [one.areas[0].area for one in drawn]),
        "radius": (np.sqrt(THRESHOLD), [one.areas[0].radius for one in drawn]),
        "length": (2 * np.sqrt(THRESHOLD), [one.lengths[0].length for one in drawn]),
        "rise": (RADIUS**2, [one.circles[0].mean for one in drawn]),
        "curvature along x": (2.0, [one.curvatures[0].curvature for one in drawn]),
        "curvature along y": (2.0, [one.curvatures[1].curvature for one in drawn]),
    }
    for name, (truth, estimates) in truths.items():
        held = np.mean([one.low <= truth <= one.high for one in estimates])
        spread = np.std([one.value for one in estimates], ddof=1)
        claimed = np.mean([one.stderr for one in estimates])
        assert held >= 0.95, name
        assert claimed >= 0.9 * spread, name  # a standard deviation of 80 draws is itself 8 % off


def test_the_error_of_a_curvature_is_of_the_right_size(surface_of: Any) -> None:
    generator = np.random.default_rng(4)
    found = []
    for _ in range(DRAWS):
        loss, stderr = margins(generator)
        found.append(curvature(surface_of(loss, stderr=stderr, y=None)))
    spread = np.std([one.curvature.value for one in found], ddof=1)
    assert 0.5 * spread < np.mean([one.curvature.stderr for one in found]) < 2 * spread
    assert min(one.stderr_at_most for one in found) > spread


def test_paired_intervals_hold_the_truth_as_often_as_they_say(surface_of: Any) -> None:
    # A line that ends at θ1 has one place at each distance: nothing moves together with it.
    generator = np.random.default_rng(5)
    rises, lengths = [], []
    for _ in range(1000):
        losses = bowl_of_each(generator)
        loss, stderr = mean_and_stderr(losses)
        surface = surface_of(
            loss, stderr=stderr, paired=paired_with_the_end(losses), x=(1, 2.4, 71), y=None
        )
        found = measure(surface, thresholds=[THRESHOLD], radii=[RADIUS])
        rises.append(found.circles[0].mean)
        lengths.append(found.lengths[0].length)
    for truth, estimates in ((RADIUS**2, rises), (np.sqrt(THRESHOLD), lengths)):
        held = np.mean([one.low <= truth <= one.high for one in estimates])
        spread = np.std([one.value for one in estimates], ddof=1)
        assert 0.93 <= held <= 0.97
        assert np.mean([one.stderr for one in estimates]) == pytest.approx(spread, rel=0.1)


def test_paired_intervals_of_a_surface_are_narrower_and_still_hold(surface_of: Any) -> None:
    generator = np.random.default_rng(6)
    found = []
    for _ in range(DRAWS):
        losses = bowl_of_each(generator)
        loss, stderr = mean_and_stderr(losses)
        paired = paired_with_the_end(losses)
        grid = {"x": (-0.5, 2.5, 31), "y": (-1.5, 1.5, 31)}
        found.append(
            [
                measure(
                    surface_of(loss, stderr=stderr, paired=one, **grid),
                    thresholds=[THRESHOLD],
                    radii=[RADIUS],
                )
                for one in (paired, None)
            ]
        )
    for truth, read in (
        (np.pi * THRESHOLD, lambda one: one.areas[0].area),
        (2 * np.sqrt(THRESHOLD), lambda one: one.lengths[0].length),
        (RADIUS**2, lambda one: one.circles[0].mean),
    ):
        with_pairs, without = ([read(one) for one in column] for column in zip(*found, strict=True))
        assert np.mean([one.low <= truth <= one.high for one in with_pairs]) >= 0.93
        widths = [np.mean([one.high - one.low for one in each]) for each in (with_pairs, without)]
        assert widths[0] < 0.95 * widths[1]
    spread = np.std([one.curvatures[0].curvature.value for one, _ in found], ddof=1)
    for here, there in found:
        assert spread < here.curvatures[0].stderr_at_most < there.curvatures[0].stderr_at_most
        assert here.curvatures[0].curvature == there.curvatures[0].curvature
