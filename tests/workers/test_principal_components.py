"""Principal components of a trajectory against a dense singular value decomposition."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.workers.tiny_inputs import Inputs, bert_config, moved, random_model

from bertscape.results import Surface
from bertscape.spec import Limits
from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.admission import admit
from bertscape_workers.checkpoints import (
    CheckpointFiles,
    Layout,
    StoredBackbone,
    backbone,
    layout_of,
    locate,
    read_backbone,
    skeleton,
)
from bertscape_workers.jobs.prepare import find_checkpoints, prepare
from bertscape_workers.plane import build_plane, checkpoints_on_plane, principal_components
from bertscape_workers.plane.principal_components import principal_component
from bertscape_workers.running.local_run import run_job

COUNT = 5


@pytest.fixture(scope="module")
def layout() -> Layout:
    return layout_of(skeleton(bert_config().to_dict()))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A trajectory: each checkpoint a step on from the one before, all steps in other ways."""
    root = tmp_path_factory.mktemp("trajectory")
    model = random_model(bert_config(), seed=0)
    found = []
    for step in range(COUNT):
        found.append(root / f"checkpoint-{step}")
        model.save_pretrained(found[-1])
        moved(model, seed=step + 10, by=0.02 * (step + 1))
    return found


def located(folders: Sequence[Path]) -> tuple[CheckpointFiles, ...]:
    return tuple(locate(str(one), f"y.pca[{place}]") for place, one in enumerate(folders))


def stacked(folders: Sequence[Path], layout: Layout) -> np.ndarray:
    """(T, n) float64, every checkpoint whole."""
    rows = []
    for files in located(folders):
        rows.append(layout.empty())
        read_backbone(files, layout, rows[-1])
    return np.array(rows, dtype=np.float64)


def dense(folders: Sequence[Path], layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Unit components, (T, n), up to their signs, and their shares of the variance, (T,)."""
    points = stacked(folders, layout)
    _, lengths, components = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return components, lengths**2 / np.square(lengths).sum()


# --- against the dense decomposition ------------------------------------------------------------


@pytest.mark.parametrize("component", [1, 2, 3, COUNT - 1])
def test_components_are_those_of_a_dense_decomposition(
    folders: list[Path], layout: Layout, component: int
) -> None:
    found, explained = principal_component(located(folders), component, layout, length=2.5)
    components, shares = dense(folders, layout)
    expected = components[component - 1]
    assert found.dtype == np.float32
    assert np.linalg.norm(found.astype(np.float64)) == pytest.approx(2.5, rel=1e-7)
    sign = np.sign(found @ expected)
    np.testing.assert_allclose(found, 2.5 * sign * expected, atol=1e-8, rtol=1e-6)
    assert explained == pytest.approx(shares[component - 1], rel=1e-10)


def test_a_component_of_little_variance_is_as_exact(layout: Layout, tmp_path: Path) -> None:
    """Its share is about 1e-9: a mean left in the sum would show in the seventh digit."""
    model = random_model(bert_config(), seed=0)
    for step, by in enumerate((1.0, 1e-4, 1e-4)):
        model.save_pretrained(tmp_path / f"{step}")
        moved(model, seed=step, by=by)
    path = [tmp_path / f"{step}" for step in range(3)]
    found, explained = principal_component(located(path), 2, layout, 1.0)
    expected = dense(path, layout)[0][1]
    assert explained < 1e-8
    np.testing.assert_allclose(found, np.sign(found @ expected) * expected, atol=2e-9)


def test_a_component_goes_the_way_that_the_trajectory_goes(
    folders: list[Path], layout: Layout
) -> None:
    points = stacked(folders, layout)
    for component in range(1, COUNT):
        there, _ = principal_component(located(folders), component, layout, 1.0)
        back, _ = principal_component(located(folders[::-1]), component, layout, 1.0)
        assert there @ (points[-1] - points[0]) > 0
        np.testing.assert_allclose(back, -there, atol=1e-9)


def test_where_first_and_last_tie_the_first_checkpoint_off_the_mean_decides(
    folders: list[Path], layout: Layout
) -> None:
    a, b = folders[0], folders[1]
    points = stacked([a, b], layout)
    for path in ([a, b, a], [a, b, b, a]):
        found, explained = principal_component(located(path), 1, layout, 1.0)
        assert found @ (points[0] - points[1]) > 0
        assert explained == pytest.approx(1.0)


# --- memory -------------------------------------------------------------------------------------


def test_no_more_than_one_backbone_is_read_at_a_time(
    folders: list[Path], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [folders[place % COUNT] for place in range(25)]
    vectors: list[int] = []
    empty = Layout.empty
    monkeypatch.setattr(Layout, "empty", lambda self: vectors.append(1) or empty(self))
    reads: list[int] = []
    rows = StoredBackbone.rows

    def counted(self: StoredBackbone, index: int, some: slice) -> Any:
        values = rows(self, index, some)
        reads.append(values.size)
        return values

    monkeypatch.setattr(StoredBackbone, "rows", counted)
    monkeypatch.setattr(backbone, "read_backbone", None)  # nothing reads a checkpoint whole
    # Blocks that do not divide a part, to be put together again.
    monkeypatch.setattr(principal_components, "BLOCK", 1000)
    found, _ = principal_component(located(many), 2, layout, 1.0)
    assert len(vectors) == 1  # the direction itself
    assert sum(reads) == 2 * len(many) * layout.parameters
    # Two parts, of 25 reads each, are alive at a time.
    assert 2 * len(many) * max(reads) <= layout.size
    assert len(reads) > 2 * len(many) * len(layout.tensors)  # so larger tensors were cut
    monkeypatch.undo()
    expected = dense(many, layout)[0][1]
    np.testing.assert_allclose(found, np.sign(found @ expected) * expected, atol=1e-8, rtol=1e-6)


# --- refusals -----------------------------------------------------------------------------------


def refused(call: Callable[[], object], *parts: str) -> ProblemType:
    with pytest.raises(InvalidInput) as caught:
        call()
    for part in parts:
        assert part in caught.value.problem.detail
    return caught.value.problem.type


def between(first: Path, last: Path, share: float, folder: Path) -> Path:
    """A checkpoint on the way from one to another, rounded to float32."""
    random_model(bert_config(), seed=0).save_pretrained(folder)
    start, end = (load_file(one / "model.safetensors") for one in (first, last))
    values = {name: start[name] + np.float32(share) * (end[name] - start[name]) for name in start}
    save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_component_of_rounding_alone_is_refused(
    folders: list[Path], layout: Layout, tmp_path: Path
) -> None:
    twice = located([folders[0], folders[1], folders[1]])
    parts = ("y.component: 2", "the 1 principal component(s) of these 3", "expected at most 1")
    kind = refused(lambda: principal_component(twice, 2, layout, 1.0), *parts)
    assert kind is ProblemType.CHECKPOINT_MISMATCH
    # On one line but for the rounding to float32, which is no direction of the training.
    line = [between(folders[0], folders[1], share, tmp_path / f"{share}") for share in (0.3, 0.6)]
    on_a_line = located([folders[0], *line, folders[1]])
    refused(lambda: principal_component(on_a_line, 2, layout, 1.0), "expected at most 1")
    principal_component(on_a_line, 1, layout, 1.0)
    same = located([folders[0], folders[0]])
    beyond = ("y.component: 1 is beyond the 0 principal", "expected checkpoints that differ")
    refused(lambda: principal_component(same, 1, layout, 1.0), *beyond)


def test_weights_that_are_not_finite_are_refused_by_name(
    folders: list[Path], layout: Layout, tmp_path: Path
) -> None:
    broken = between(folders[0], folders[1], 0.5, tmp_path / "broken")
    values = load_file(broken / "model.safetensors")
    name = layout.tensors[3].names[0]
    values[name].flat[-1] = np.nan
    save_file(values, broken / "model.safetensors", metadata={"format": "pt"})
    files = located([folders[0], broken])
    parts = ("y.pca[1]", f"NaN or infinity in {name}")
    refused(lambda: principal_component(files, 1, layout, 1.0), *parts)


def test_each_checkpoint_is_checked_as_those_of_a_trajectory(
    bert: Inputs, folders: list[Path], tmp_path: Path
) -> None:
    nothing = [str(bert.pretrained), str(tmp_path / "nothing")]
    refused(lambda: admit(bert.spec(y={"pca": nothing})), "y.pca[1]", "nothing")
    random_model(bert_config(hidden_size=32), seed=0).save_pretrained(tmp_path / "narrow")
    narrow = bert.spec(y={"pca": [str(bert.pretrained), str(tmp_path / "narrow")]})
    for check in (admit, prepare):
        refused(lambda check=check: check(narrow), "y.pca[1]", "hidden_size")
    spec = bert.spec(x={"pca": [str(one) for one in folders]})
    refused(
        lambda: admit(spec, roots=[bert.pretrained.parent]),
        "x.pca[0]",
        "leads outside the allowed roots",
    )
    refused(lambda: admit(spec, Limits(trajectory=COUNT - 1)), "x.pca: 5 checkpoints; expected")
    (tmp_path / "link").symlink_to(folders[0])
    linked = admit(bert.spec(y={"pca": [str(tmp_path / "link"), str(folders[1])]}))
    assert linked.to_json()["y"]["pca"] == [str(folders[0]), str(folders[1])]


# --- as a direction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "origin", "expected"),
    [
        ("y", "pretrained", {"pretrained", "finetuned"}),
        ("x", "pretrained", {"pretrained", "toward"}),
        ("x", "finetuned", {"finetuned"}),
    ],
)
def test_it_has_the_length_of_delta1_and_no_checkpoint_on_it(
    bert: Inputs, folders: list[Path], layout: Layout, axis: str, origin: str, expected: set[str]
) -> None:
    pca = {"pca": [str(one) for one in folders]}
    request = find_checkpoints(bert.spec(origin=origin, **{axis: pca})).plane
    plane = build_plane(request, layout)
    assert np.linalg.norm(getattr(plane, axis).astype(np.float64)) == pytest.approx(
        plane.delta1_norm, rel=1e-7
    )
    assert {name for name, _, _ in checkpoints_on_plane(request, plane)} == expected


def test_a_layer_group_cuts_it_afterwards(
    bert: Inputs, folders: list[Path], layout: Layout
) -> None:
    pca = {"pca": [str(one) for one in folders]}
    whole = build_plane(find_checkpoints(bert.spec(y=pca)).plane, layout).y
    group = build_plane(find_checkpoints(bert.spec(y=pca, layers="pooler")).plane, layout).y
    assert whole is not None
    assert group is not None
    for tensor in layout.tensors:
        inside = ".pooler." in tensor.names[0]
        wanted = tensor.view(whole) if inside else np.zeros(tensor.shape)
        np.testing.assert_array_equal(tensor.view(group), wanted)


def test_a_group_that_the_trajectory_leaves_alone(
    bert: Inputs, folders: list[Path], layout: Layout, tmp_path: Path
) -> None:
    values = load_file(folders[1] / "model.safetensors")
    start = load_file(folders[0] / "model.safetensors")
    values |= {name: start[name] for name in start if ".pooler." in name}
    frozen = between(folders[0], folders[1], 0.5, tmp_path / "frozen")
    save_file(values, frozen / "model.safetensors", metadata={"format": "pt"})
    spec = bert.spec(y={"pca": [str(folders[0]), str(frozen)]}, layers="pooler")
    request = find_checkpoints(spec).plane
    refused(lambda: build_plane(request, layout), "layers", "the same in all checkpoints of y.pca")


def test_a_job_along_a_component(
    bert: Inputs, folders: list[Path], layout: Layout, tmp_path: Path
) -> None:
    paths = [str(one) for one in folders]
    spec = bert.spec(y={"pca": paths, "component": 2}, trajectory=paths[:2])
    surface = run_job(admit(spec), lambda *_: None)
    assert surface.complete
    assert [check.checkpoint for check in surface.self_checks] == ["pretrained", "finetuned"]
    assert not surface.failed_self_checks
    findings = surface.findings
    assert findings.delta2_norm is None
    assert [key for key in findings.checkpoints if "pca" in key] == [
        f"y.pca[{place}]" for place in range(COUNT)
    ]
    first = findings.checkpoints["y.pca[0]"]
    assert first == findings.checkpoints["trajectory[0]"]
    assert first.source == paths[0]
    assert len({findings.checkpoints[f"y.pca[{place}]"].sha256 for place in range(COUNT)}) == COUNT
    share = dense(folders, layout)[1][1]
    assert findings.explained_variance == {"y": pytest.approx(share, rel=1e-10)}
    surface.save(tmp_path / "surface.h5")
    assert Surface.load(tmp_path / "surface.h5").findings == findings
    with h5py.File(tmp_path / "surface.h5") as file:
        assert file.attrs["y_explained_variance"] == findings.explained_variance["y"]
        assert json.loads(file.attrs["spec"])["y"] == {"pca": paths, "component": 2}
