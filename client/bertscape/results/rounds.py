"""Rounds of a surface that sharpens: each has all points, on examples that no earlier round had.

A tile's numbers are those of its round's examples alone. Put together they are the numbers of all
examples up to there: means by count, and standard errors from sums of squares (Chan, Golub and
LeVeque 1983, "Algorithms for computing the sample variance"). The order is that of the rounds,
whatever the order in which tiles were done, so that equal rounds make equal bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bertscape.results.run import gather
from bertscape.spec import JobSpec, LandscapeSpec
from bertscape.values import CHANGES, NUMBERS, Findings, Pins

_Values = NDArray[np.float64]
_NAMES = (*NUMBERS, *CHANGES)


def round_sizes(findings: Findings) -> tuple[int, ...]:
    """How many training examples each round adds, the first included."""
    further = (f"train[{place}]" for place in range(1, len(findings.splits)))
    names = ["train", *(name for name in further if name in findings.splits)]
    return tuple(findings.splits[name].examples for name in names)


def gather_rounds(
    spec: LandscapeSpec,
    findings: Findings,
    tile_points: int,
    done: Iterable[tuple[int, _Values]],
) -> tuple[_Values, NDArray[np.uint8], int]:
    """Put together the latest whole round, or what there is of the first.

    Args:
        spec: a job that sharpens.
        findings: what preparing it found.
        tile_points: as of `assemble`.
        done: (tile, numbers of shape (points of the tile, 16)), all rounds.

    Returns:
        (numbers by point, 1 for each point that was evaluated, how many rounds that is).
    """
    tiles: dict[int, dict[int, _Values]] = {}
    for tile, numbers in done:
        place, index = spec.round_of(tile, tile_points)
        tiles.setdefault(place, {})[index] = numbers
    whole = whole_rounds(spec, tile_points, tiles)
    shown = range(max(1, whole))
    rounds = [gather(spec, tile_points, tiles.get(place, {}).items()) for place in shown]
    numbers = merged(round_sizes(findings), [values for values, _ in rounds])
    return numbers, rounds[0][1], len(rounds)


def whole_rounds(
    spec: LandscapeSpec, tile_points: int, tiles: Mapping[int, Mapping[int, _Values]]
) -> int:
    """How many rounds are done, from the first without a gap."""
    each = len(spec.tiles(tile_points))
    count = 0
    while len(tiles.get(count, ())) == each:
        count += 1
    return count


def tiles_to_follow(
    spec: JobSpec, findings: Pins | None, tile_points: int, done: Iterable[tuple[int, _Values]]
) -> tuple[int, ...]:
    """The tiles of a further round, in the order in which to do them.

    Args:
        spec: a job of any kind.
        findings: what preparing it found.
        tile_points: as of `assemble`.
        done: all tiles that are done.

    Returns:
        Nothing while a round lacks a tile, and once the surface is as sharp as it is to be, or all
        examples are used; nothing of a job that does not sharpen.
    """
    if not spec.sharpens or findings is None:
        return ()
    spec, found = cast(LandscapeSpec, spec), cast(Findings, findings)  # no other kind sharpens
    tiles = list(done)
    each, sizes = len(spec.tiles(tile_points)), round_sizes(found)
    reached, begun = divmod(len(tiles), each)
    if begun or not 0 < reached < len(sizes):
        return ()
    numbers, _, _ = gather_rounds(spec, found, tile_points, tiles)
    return () if _is_sharp(spec, numbers) else tuple(range(reached * each, (reached + 1) * each))


def _is_sharp(spec: LandscapeSpec, numbers: _Values) -> bool:
    """Whether each point is as sharp as it is to be.

    A loss that is not finite is left out: no further example makes it finite.

    Args:
        spec: a job that sharpens.
        numbers: of all its points, as `gather_rounds` gives them.
    """
    if spec.until is None:
        return True
    loss, stderr = (numbers[_NAMES.index(name)] for name in ("train_loss", "train_loss_stderr"))
    finite = np.isfinite(loss)
    return bool((stderr[finite] <= spec.until.stderr * np.abs(loss[finite])).all())


def merged(sizes: Sequence[int], rounds: Sequence[_Values]) -> _Values:
    """The numbers of all examples of these rounds.

    Args:
        sizes: how many training examples each round adds.
        rounds: the numbers of each, (16, points); the evaluation split is that of the first.
    """
    if len(rounds) == 1:  # bit for bit
        return rounds[0]
    found = rounds[0].copy()
    for name in ("train_loss", "train_loss_change", "train_error_change"):
        means, stderrs = (_stacked(rounds, ending) for ending in (name, f"{name}_stderr"))
        value, deviation = _merged_means(np.array(sizes[: len(rounds)]), means, stderrs)
        found[_NAMES.index(name)], found[_NAMES.index(f"{name}_stderr")] = value, deviation
    rate, stderr = _merged_rates(np.array(sizes[: len(rounds)]), _stacked(rounds, "train_error"))
    found[_NAMES.index("train_error")], found[_NAMES.index("train_error_stderr")] = rate, stderr
    return found


def _stacked(rounds: Sequence[_Values], name: str) -> _Values:
    return np.stack([one[_NAMES.index(name)] for one in rounds])  # (rounds, points)


def _merged_means(
    sizes: NDArray[np.int64], means: _Values, stderrs: _Values
) -> tuple[_Values, _Values]:
    count = int(sizes.sum())
    counts = sizes.astype(np.float64)[:, None]
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is the answer
        mean = (counts * means).sum(axis=0) / count
        # One example has no deviation from its own mean; its standard error is NaN.
        within = np.where(counts > 1, (counts - 1) * counts * stderrs**2, 0.0)
        squares = (within + counts * (means - mean) ** 2).sum(axis=0)
        return mean, np.sqrt(squares / (count - 1) / count)


def _merged_rates(sizes: NDArray[np.int64], rates: _Values) -> tuple[_Values, _Values]:
    count = int(sizes.sum())
    misses = np.rint(rates * sizes[:, None]).sum(axis=0)  # whole numbers
    rate = misses / count
    return rate, np.sqrt(rate * (1.0 - rate) / count)
