"""Filter normalization against a plain loop over filters."""

import numpy as np
import pytest
from tests.workers.tiny_inputs import bert_config

from bertscape_workers.checkpoints import Layout, layout_of, skeleton
from bertscape_workers.plane.directions import random_direction


@pytest.fixture(scope="module")
def layout() -> Layout:
    return layout_of(skeleton(bert_config().to_dict()))


@pytest.fixture(scope="module")
def origin(layout: Layout) -> np.ndarray:
    vector = layout.empty()
    for tensor in layout.tensors:
        generator = np.random.default_rng(tensor.offset)
        tensor.view(vector)[...] = generator.standard_normal(tensor.shape)
    return vector


def test_each_filter_has_the_norm_of_the_origins(layout: Layout, origin: np.ndarray) -> None:
    direction = random_direction(origin, layout, seed=3)
    filters = 0
    for tensor in layout.tensors:
        here, there = tensor.view(direction), tensor.view(origin)
        if len(tensor.shape) == 1:  # a bias, or a LayerNorm's parameter
            assert not here.any(), tensor.names
            continue
        for row in range(tensor.shape[0]):
            filters += 1
            assert np.linalg.norm(here[row].astype(float)) == pytest.approx(
                np.linalg.norm(there[row].astype(float)), rel=1e-6
            )
    assert filters > 300


def test_gaps_between_tensors_stay_zero(layout: Layout, origin: np.ndarray) -> None:
    direction = random_direction(origin, layout, seed=3)
    gaps = np.ones(layout.size, dtype=bool)
    for tensor in layout.tensors:
        gaps[tensor.offset : tensor.offset + tensor.size] = False
    assert gaps.any()
    assert not direction[gaps].any()


def test_a_filter_of_zeros_does_not_move(layout: Layout, origin: np.ndarray) -> None:
    origin, table = origin.copy(), layout.tensors[0]
    table.view(origin)[0] = 0  # the padding token's row, in many checkpoints
    assert not table.view(random_direction(origin, layout, seed=3))[0].any()


def test_the_seed_and_the_name_alone_fix_the_draw(layout: Layout, origin: np.ndarray) -> None:
    first = random_direction(origin, layout, seed=3)
    np.testing.assert_array_equal(first, random_direction(origin, layout, seed=3))
    assert not np.array_equal(first, random_direction(origin, layout, seed=4))
    shapes: dict[tuple[int, ...], np.ndarray] = {}
    for tensor in layout.tensors:
        values = tensor.view(first)
        if values.any():  # equal shapes, yet each tensor draws from its own stream
            assert not np.array_equal(values, shapes.get(tensor.shape, np.zeros(1)))
            shapes[tensor.shape] = values
    # Guards the stream itself: another generator would silently change every random surface.
    table = layout.tensors[0].view(first)[1].astype(float)
    norm = np.linalg.norm(layout.tensors[0].view(origin)[1].astype(float))
    stream = [-0.0088302879, 0.0251189925, 0.0736699310]
    np.testing.assert_allclose(table[:3] / norm, stream, rtol=1e-6)
