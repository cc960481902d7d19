"""Origin, directions, and which checkpoints lie on the plane."""

from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.workers.tiny_inputs import Inputs

from bertscape.values import InvalidInput
from bertscape_workers.checkpoints import Layout, layout_of, load_config, locate, skeleton
from bertscape_workers.jobs.prepare import find_checkpoints
from bertscape_workers.plane import Plane, build_plane, checkpoints_on_plane
from bertscape_workers.plane.directions import random_direction


@pytest.fixture(scope="module")
def layout(bert: Inputs) -> Layout:
    return layout_of(skeleton(load_config(locate(str(bert.finetuned), "model.finetuned"))))


@pytest.fixture(scope="module")
def theta(bert: Inputs, layout: Layout) -> dict[str, np.ndarray]:
    """θ0, θ1 and θ2 as vectors, by a reading of their own."""
    vectors = {}
    for name in ("pretrained", "finetuned", "toward"):
        vectors[name] = layout.empty()
        for key, value in load_file(getattr(bert, name) / "model.safetensors").items():
            for tensor in layout.tensors:
                if tensor.names[0] == key:
                    tensor.view(vectors[name])[...] = value.numpy()
    return vectors


def build(bert: Inputs, layout: Layout, **changes: Any) -> tuple[Plane, dict[str, Any]]:
    request = find_checkpoints(bert.spec(**changes)).plane
    plane = build_plane(request, layout)
    return plane, {name: at for name, _, at in checkpoints_on_plane(request, plane)}


def test_directions_have_the_norm_of_delta1(
    bert: Inputs, layout: Layout, theta: dict[str, np.ndarray]
) -> None:
    plane, _ = build(bert, layout)
    delta1 = theta["finetuned"] - theta["pretrained"]
    delta2 = (theta["toward"] - theta["pretrained"]).astype(np.float64)
    np.testing.assert_array_equal(plane.origin, theta["pretrained"])
    np.testing.assert_array_equal(plane.x, delta1)
    length = np.linalg.norm(delta1.astype(np.float64))
    assert plane.delta1_norm == pytest.approx(length, rel=1e-14)
    assert plane.lengths["y"] == pytest.approx(np.linalg.norm(delta2), rel=1e-7)
    np.testing.assert_allclose(plane.y, delta2 * length / np.linalg.norm(delta2), rtol=1e-6)
    cosine = delta1.astype(np.float64) @ delta2 / length / np.linalg.norm(delta2)
    assert plane.cosine == pytest.approx(cosine, abs=1e-8)


RANDOM = {"random": {"seed": 5}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"pretrained", "finetuned", "toward"}),
        ({"origin": "finetuned"}, {"pretrained", "finetuned", "toward"}),
        ({"y": RANDOM}, {"pretrained", "finetuned"}),
        ({"y": RANDOM, "origin": "finetuned"}, {"pretrained", "finetuned"}),
        ({"x": "other", "y": RANDOM}, {"pretrained", "x.toward"}),
        ({"x": "other", "y": RANDOM, "origin": "finetuned"}, {"finetuned"}),
        ({"x": "other", "y": {"toward": "finetuned"}}, {"pretrained", "finetuned", "x.toward"}),
        ({"kind": "curve", "y": None, "grid": {"x": [0, 1, 2]}}, {"pretrained", "finetuned"}),
    ],
)
def test_each_checkpoint_on_the_plane_is_found_where_it_lies(
    bert: Inputs,
    layout: Layout,
    theta: dict[str, np.ndarray],
    changes: dict[str, Any],
    expected: set[str],
) -> None:
    if changes.get("x") == "other":
        changes = {**changes, "x": {"toward": str(bert.toward)}}
    plane, places = build(bert, layout, **changes)
    assert set(places) == expected
    for name, (alpha, beta) in places.items():
        point = plane.origin + alpha * plane.x.astype(np.float64)
        point += 0 if plane.y is None else beta * plane.y.astype(np.float64)
        there = theta["toward" if name.endswith("toward") else name]
        np.testing.assert_allclose(point, there, atol=3e-7)


def test_theta0_is_at_minus_one_from_theta1(bert: Inputs, layout: Layout) -> None:
    plane, places = build(bert, layout, origin="finetuned")
    assert places["finetuned"] == (0.0, 0.0)
    assert places["pretrained"] == (-1.0, 0.0)
    assert places["toward"] == (-1.0, plane.lengths["y"] / plane.delta1_norm)


@pytest.mark.parametrize("origin", ["pretrained", "finetuned"])
def test_a_random_direction_is_normalized_at_the_planes_origin(
    bert: Inputs, layout: Layout, theta: dict[str, np.ndarray], origin: str
) -> None:
    plane, _ = build(bert, layout, y=RANDOM, origin=origin)
    np.testing.assert_array_equal(plane.origin, theta[origin])
    np.testing.assert_array_equal(plane.y, random_direction(theta[origin], layout, seed=5))


def test_a_checkpoint_that_is_theta0_gives_no_direction(bert: Inputs, layout: Layout) -> None:
    model = {"pretrained": str(bert.pretrained), "finetuned": str(bert.pretrained)}
    with pytest.raises(InvalidInput, match=r"model\.finetuned: .*differs from model\.pretrained"):
        build(bert, layout, model=model)
    with pytest.raises(InvalidInput, match=r"y\.toward: .*differs from model\.pretrained"):
        build(bert, layout, y={"toward": str(bert.pretrained)})


def test_parallel_directions_are_no_plane(bert: Inputs, layout: Layout) -> None:
    with pytest.raises(InvalidInput, match=r"y: .*cosine 1\.0+ with x.*not parallel to x"):
        build(bert, layout, y={"toward": str(bert.finetuned)})
