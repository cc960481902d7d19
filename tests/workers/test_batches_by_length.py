"""Examples of like length share a batch, by an order that the seed and the epoch decide."""

import numpy as np
import pytest

from bertscape_workers.training.trainer import ByLength

BATCH = 8
LENGTHS = np.random.default_rng(3).integers(5, 60, size=250).tolist()


def order(seed: int, epoch: int) -> list[int]:
    sampler = ByLength(BATCH, LENGTHS, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def padded(places: list[int]) -> int:
    """Tokens of all batches, each as long as its longest example."""
    batches = (places[first : first + BATCH] for first in range(0, len(places), BATCH))
    return sum(len(batch) * max(LENGTHS[place] for place in batch) for batch in batches)


@pytest.mark.parametrize("epoch", [0, 1])
def test_each_example_comes_once(epoch: int) -> None:
    assert sorted(order(0, epoch)) == list(range(len(LENGTHS)))


def test_less_is_padded() -> None:
    anyhow = np.random.default_rng(0).permutation(len(LENGTHS)).tolist()
    assert padded(order(0, 0)) < 1.2 * sum(LENGTHS) < 1.4 * sum(LENGTHS) < padded(anyhow)


def test_seed_and_epoch_alone_decide() -> None:
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 5) for epoch in (0, 1)}) == 4
