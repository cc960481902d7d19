"""How many workers a cluster should have, from what Ray says of its nodes."""

from typing import Any

import pytest

from bertscape.values import InvalidInput
from bertscape_service.ray_cluster import DispatcherOptions
from bertscape_service.ray_cluster.cluster import Capacity, capacity_of

GIB = 1 << 30


def node(*, alive: bool = True, memory: float = 64, store: float = 16, **counts: float) -> Any:
    resources = {"memory": memory * GIB, "object_store_memory": store * GIB, **counts}
    return {"NodeID": "n", "Alive": alive, "Resources": resources}


def test_one_worker_per_core_as_many_as_memory_holds() -> None:
    nodes = [node(CPU=8.0), node(CPU=8.0, memory=3.5, store=4)]
    assert capacity_of(nodes, DispatcherOptions()) == Capacity(
        11, int(3.5 * GIB) // 3, 4 * GIB, gpus=False
    )


def test_cores_per_worker_divide_the_cores_of_each_node() -> None:
    options = DispatcherOptions(cpus_per_worker=3)
    assert capacity_of([node(CPU=8.0), node(CPU=2.0)], options).workers == 2


def test_one_worker_is_tried_however_little_memory_there_is() -> None:
    found = capacity_of([node(CPU=8.0, memory=0.5)], DispatcherOptions())
    assert (found.workers, found.memory_per_worker) == (1, GIB // 2)


def test_one_worker_per_gpu_and_none_on_nodes_without_one() -> None:
    nodes = [node(CPU=4.0, GPU=8.0, store=32), node(CPU=64.0)]
    assert capacity_of(nodes, DispatcherOptions()) == Capacity(8, 8 * GIB, 32 * GIB, gpus=True)


def test_a_dead_node_counts_for_nothing() -> None:
    nodes = [node(CPU=8.0, alive=False), node(CPU=2.0)]
    assert capacity_of(nodes, DispatcherOptions()).workers == 2
    assert capacity_of(nodes[:1], DispatcherOptions()).workers == 0


@pytest.mark.parametrize(("asked", "given"), [(2, 2), (8, 8), (9, 8)])
def test_a_number_that_is_asked_for_overrides_memory_but_not_cores(asked: int, given: int) -> None:
    found = capacity_of([node(CPU=8.0, memory=4)], DispatcherOptions(workers=asked))
    assert found.workers == given
    assert found.memory_per_worker == 4 * GIB // given


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:6379", "head.example:6379", "[::1]:6379"])
def test_addresses_of_a_head_are_accepted(address: str) -> None:
    assert DispatcherOptions(ray_address=address).ray_address == address


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"ray_address": "ray://head:10001"}, "--ray-address"),
        ({"ray_address": "head"}, "--ray-address"),
        ({"ray_address": ""}, "--ray-address"),
        ({"workers": 0}, "--workers"),
        ({"cpus_per_worker": 0}, "--cpus-per-worker"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        DispatcherOptions(**options)
    assert caught.value.problem.key == key
