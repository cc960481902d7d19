"""Rounds put together, against the statistics of all their examples at once."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bertscape.readings import end_point, measure, optimum_length
from bertscape.results import (
    Run,
    Surface,
    assemble_result,
    read_surface,
    round_sizes,
    tiles_to_follow,
    write_surface,
)
from bertscape.results.rounds import merged
from bertscape.spec import Until
from bertscape.values import CHANGES, NUMBERS, SplitFound

SIZES = (3, 3, 6, 1)  # of 13
POINTS, TILE = 35, 4

Losses = np.ndarray  # (examples, points)


def numbers_of(losses: Losses, wrong: np.ndarray, end: Losses, missed: np.ndarray) -> np.ndarray:
    """(16, points), as a worker has them; of the evaluation split nothing is known."""
    count = len(losses)
    found = np.full((16, losses.shape[1]), np.nan)

    def put(name: str, values: np.ndarray) -> None:
        place = (*NUMBERS, *CHANGES).index(name)
        found[place] = values.mean(axis=0)
        if count > 1:
            found[(*NUMBERS, *CHANGES).index(f"{name}_stderr")] = values.std(
                axis=0, ddof=1
            ) / math.sqrt(count)

    put("train_loss", losses)
    put("train_loss_change", losses - end[:, None])
    put("train_error_change", wrong.astype(float) - missed[:, None])
    rate = wrong.mean(axis=0)
    found[NUMBERS.index("train_error")] = rate
    found[NUMBERS.index("train_error_stderr")] = np.sqrt(rate * (1 - rate) / count)
    return found


@pytest.fixture
def sample() -> Any:
    """The numbers of some of the examples, by their places."""
    generator = np.random.default_rng(0)
    losses = generator.exponential(1.0, (sum(SIZES), POINTS))
    wrong = generator.random((sum(SIZES), POINTS)) < 0.3
    end, missed = generator.exponential(0.2, sum(SIZES)), generator.random(sum(SIZES)) < 0.1
    return lambda some: numbers_of(losses[some], wrong[some], end[some], missed[some])


def rounds_of(sample: Any) -> list[np.ndarray]:
    ends = np.cumsum((0, *SIZES))
    return [sample(slice(*pair)) for pair in itertools.pairwise(ends)]


def test_rounds_double_the_sample() -> None:
    assert list(Until.additions(3, 13)) == [3, 3, 6, 1]
    assert list(Until.additions(4, 8)) == [4, 4]
    assert list(Until.additions(8, 8)) == [8]
    assert list(Until.additions(9, 8)) == [8]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_rounds_together_are_one_sample(sample: Any, count: int) -> None:
    found = merged(SIZES, rounds_of(sample)[:count])
    expected = sample(slice(0, sum(SIZES[:count])))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    exact = [NUMBERS.index(name) for name in ("train_error", "train_error_stderr")]
    assert found[exact].tobytes() == expected[exact].tobytes()


def test_what_is_not_finite_stays_so(sample: Any) -> None:
    rounds = rounds_of(sample)
    rounds[1][0, 0], rounds[1][0, 1], rounds[2][0, 1] = np.nan, np.inf, np.inf
    found = merged(SIZES, rounds)
    assert np.isnan(found[0, 0])
    assert found[0, 1] == np.inf
    assert np.isfinite(found[0, 2:]).all()


# --- surfaces -------------------------------------------------------------------------------------


@pytest.fixture
def sharpening(make_surface: Any) -> Any:
    """A surface's spec and findings, 7 × 5 points and four rounds; then its tiles by round."""
    train = {"path": "/data/train.tsv", "examples": SIZES[0]}
    data = {"train": train, "eval": {"path": "/data/dev.tsv"}, "text": ["sentence"]}

    def make(stderr: float = 0.1) -> Surface:
        surface = make_surface(data=data, until={"stderr": stderr})
        names = ("train", "train[1]", "train[2]", "train[3]")
        splits = {
            name: SplitFound(source="/data", sha256="0", examples=count, tokens=9)
            for name, count in zip((*names, "eval"), (*SIZES, 32), strict=True)
        }
        findings = surface.findings.model_copy(update={"splits": splits})
        return dataclasses.replace(surface, findings=findings)

    return make


def tiles_of(surface: Surface, rounds: list[np.ndarray]) -> list[tuple[int, np.ndarray]]:
    tiles = surface.spec.tiles(TILE)
    return [
        (number * len(tiles) + tile.index, values[:, list(tile.points)].T)
        for number, values in enumerate(rounds)
        for tile in tiles
    ]


def assembled(surface: Surface, tiles: list[tuple[int, np.ndarray]]) -> Surface:
    found = assemble_result(surface.spec, surface.findings, TILE, tiles, Run())
    assert isinstance(found, Surface)
    return found


def test_a_surface_is_that_of_its_latest_whole_round(sharpening: Any, sample: Any) -> None:
    surface, rounds = sharpening(), rounds_of(sample)
    assert round_sizes(surface.findings) == SIZES
    tiles = tiles_of(surface, rounds)
    each = len(surface.spec.tiles(TILE))
    for done, whole in ((each - 1, 1), (each, 1), (2 * each - 1, 1), (3 * each + 2, 3)):
        found = assembled(surface, tiles[:done])
        assert found.rounds == whole
        assert found.complete == (done >= each)
        expected = merged(SIZES, rounds[:whole]).reshape(16, 5, 7)
        seen = found.evaluated == 1
        assert found.numbers[:, seen].tobytes() == expected[:, seen].tobytes()
    backward = assembled(surface, tiles[::-1])
    assert backward.numbers.tobytes() == assembled(surface, tiles).numbers.tobytes()


def test_the_file_says_how_many_rounds_and_examples(
    sharpening: Any, sample: Any, tmp_path: Path
) -> None:
    surface = sharpening()
    found = assembled(surface, tiles_of(surface, rounds_of(sample)[:2]))
    write_surface(found, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file.attrs["rounds"], file.attrs["train_examples"]) == (2, 6)
        assert file.attrs["eval_examples"] == 32
        assert not [name for name in file.attrs if "[" in name]
    read = read_surface(tmp_path / "a.h5")
    assert (read.rounds, read.examples) == (2, {"train": 6, "eval": 32})
    assert read.numbers.tobytes() == found.numbers.tobytes()


def test_a_round_follows_while_a_point_is_not_sharp(sharpening: Any, sample: Any) -> None:
    rounds = rounds_of(sample)
    relative = [
        (one[NUMBERS.index("train_loss_stderr")] / one[0]).max()
        for one in (merged(SIZES, rounds[:count]) for count in (1, 2))
    ]
    for stderr, count in ((relative[0], 1), (relative[1], 2), (1e-9, 4)):
        surface = sharpening(float(stderr))
        tiles = tiles_of(surface, rounds)
        each = len(surface.spec.tiles(TILE))

        def follow(done: int, of: Any = surface, all_of: Any = tiles) -> tuple[int, ...]:
            return tiles_to_follow(of.spec, of.findings, TILE, all_of[:done])

        for number in range(1, 5):
            begun = tuple(range(number * each, (number + 1) * each)) if number < count else ()
            assert follow(number * each) == begun
            assert follow(number * each - 1) == ()
    assert follow(0) == ()


def test_a_loss_that_is_not_finite_asks_for_no_round(sharpening: Any, sample: Any) -> None:
    first = rounds_of(sample)[0]
    first[NUMBERS.index("train_loss_stderr")] = 1e-9
    surface = sharpening()
    for broken in (np.nan, np.inf):
        first[:, 3] = broken
        tiles = tiles_of(surface, [first])
        assert tiles_to_follow(surface.spec, surface.findings, TILE, tiles) == ()
    first[NUMBERS.index("train_loss_stderr"), 4] = np.nan  # as of one example
    assert tiles_to_follow(surface.spec, surface.findings, TILE, tiles_of(surface, [first])) != ()


def test_no_round_follows_where_none_is_asked_for(make_surface: Any) -> None:
    surface = make_surface(paired=True)
    assert tiles_to_follow(surface.spec, surface.findings, TILE, []) == ()


def test_readings_take_the_end_point_from_the_examples_of_all_rounds(sharpening: Any) -> None:
    surface = sharpening()  # a bowl of 0.1 at θ1; its self-check says so
    numbers = surface.numbers.copy()
    numbers[NUMBERS.index("train_loss")] += 0.07  # on further examples θ1 has a higher loss
    sharper = dataclasses.replace(surface, numbers=numbers, rounds=3)
    end = end_point(sharper)
    assert end is not None
    assert end.train_loss == pytest.approx(0.17, abs=1e-12)
    assert end.train_loss_stderr == pytest.approx(0.01 * math.sqrt(3 / 12))
    here, there = optimum_length(sharper), optimum_length(surface)
    assert here is not None
    assert there is not None
    assert here.length.value == pytest.approx(there.length.value, rel=1e-9)
    assert measure(sharper).circles[0].mean.value == pytest.approx(
        measure(surface).circles[0].mean.value, rel=1e-9
    )
