"""Layer groups: the thirds of every depth, ranges, and what is no group."""

import pickle
from typing import Any

import pytest

from bertscape import InvalidInput, LayerGroup


@pytest.mark.parametrize(
    ("count", "low", "middle", "high"),
    [
        (1, range(0), range(0), range(1)),
        (2, range(0), range(1), range(1, 2)),
        (3, range(1), range(1, 2), range(2, 3)),
        (4, range(1), range(1, 2), range(2, 4)),
        (6, range(2), range(2, 4), range(4, 6)),
        (12, range(4), range(4, 8), range(8, 12)),
        (24, range(8), range(8, 16), range(16, 24)),
    ],
)
def test_thirds(count: int, low: range, middle: range, high: range) -> None:
    thirds = [LayerGroup(name).layers(count) for name in ("low", "middle", "high")]
    assert thirds == [low, middle, high]
    assert [layer for third in thirds for layer in third] == list(range(count))


def test_other_groups() -> None:
    assert LayerGroup().layers(6) == LayerGroup("all").layers(6) == range(6)
    assert LayerGroup((2, 5)).layers(6) == range(2, 5)
    assert not LayerGroup("embeddings").layers(6)
    assert not LayerGroup("pooler").layers(6)
    assert [LayerGroup(value).is_all for value in ("all", "low", (0, 6))] == [True, False, False]


def test_a_group_is_a_value() -> None:
    group = LayerGroup((2, 5))
    assert pickle.loads(pickle.dumps(group)) == group
    assert len({group, LayerGroup((2, 5)), LayerGroup("low")}) == 2
    assert (group.to_json(), LayerGroup("low").to_json()) == ([2, 5], "low")


@pytest.mark.parametrize(
    "value",
    ["", "top", "All", (0,), (0, 1, 2), (3, 3), (4, 2), (-1, 2), (0, 2.0), (False, True), 3, None],
)
def test_what_is_no_group(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"layers: .*; expected all, low, .*half-open range"):
        LayerGroup(value)
