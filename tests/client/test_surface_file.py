"""The HDF5 file: what goes in comes out, others can read it, and it appears whole or not at all."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray

from bertscape.results import Run, Surface, read_surface, result_bytes, write_surface
from bertscape.results.result import to_xarray
from bertscape.values import CHANGES, NUMBERS, RoundingFound, SurfaceFileError, publishing


def assert_equal(here: Surface, there: Surface) -> None:
    """Bit for bit, NaN equal to NaN."""
    assert here.spec == there.spec
    assert list(here.findings.differences(there.findings)) == []
    assert here.numbers.tobytes() == there.numbers.tobytes()
    assert here.numbers.dtype == there.numbers.dtype == np.float64
    assert here.evaluated.tobytes() == there.evaluated.tobytes()
    assert here.evaluated.dtype == there.evaluated.dtype == np.uint8
    assert here.numbers.shape == there.numbers.shape
    assert here.run == there.run


@pytest.mark.parametrize("kind", ["surface", "curve"])
@pytest.mark.parametrize("trajectory", [True, False])
def test_round_trip(make_surface: Any, tmp_path: Path, kind: str, trajectory: bool) -> None:
    surface = make_surface(kind, trajectory=trajectory, holes=(0, 3))
    surface.save(tmp_path / "a.h5")
    assert_equal(Surface.load(tmp_path / "a.h5"), surface)


@pytest.mark.parametrize("kind", ["surface", "curve"])
def test_round_trip_of_a_paired_job(make_surface: Any, tmp_path: Path, kind: str) -> None:
    surface = make_surface(kind, paired=True, holes=(0, 3))
    surface.save(tmp_path / "a.h5")
    assert_equal(Surface.load(tmp_path / "a.h5"), surface)
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as found:
        assert set(surface.names) < set(found)
        assert "change against the fine-tuned" in found.train_loss_change_stderr.description
        assert found.eval_error_change.units == "1"


def test_pairing_changes_nothing_else(make_surface: Any, tmp_path: Path) -> None:
    plain, paired = make_surface(), make_surface(paired=True)
    write_surface(plain, tmp_path / "plain.h5")
    write_surface(paired, tmp_path / "paired.h5")
    with h5py.File(tmp_path / "plain.h5") as here, h5py.File(tmp_path / "paired.h5") as there:
        assert set(there) - set(here) == set(CHANGES)
        assert "paired" not in json.loads(here.attrs["spec"])
        for name in ("alpha", "beta", *NUMBERS, "evaluated"):
            assert here[name][()].tobytes() == there[name][()].tobytes()
    with pytest.raises(KeyError, match="expected one of train_loss"):
        plain["train_loss_change"]


def test_round_trip_of_a_run_without_attempts(make_surface: Any, tmp_path: Path) -> None:
    surface = dataclasses.replace(make_surface(), run=Run())
    write_surface(surface, tmp_path / "a.h5")
    assert_equal(read_surface(tmp_path / "a.h5"), surface)
    xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="run").close()


def test_computed_nan_and_infinity_differ_from_holes(make_surface: Any, tmp_path: Path) -> None:
    surface = make_surface(holes=(2,))
    surface.numbers[0].flat[0] = np.nan
    surface.numbers[0].flat[1] = -np.inf
    surface.numbers[0].flat[3] = np.inf
    write_surface(surface, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        row = file["train_loss"][0]
        assert np.isnan(row[0])
        assert row[1] == -np.inf
        assert np.isnan(row[2])
        assert row[3] == np.inf
        assert list(file["evaluated"][0, :4]) == [1, 1, 0, 1]
    assert_equal(read_surface(tmp_path / "a.h5"), surface)


def test_equal_surfaces_make_equal_bytes(make_surface: Any) -> None:
    assert result_bytes(make_surface()) == result_bytes(make_surface())


def test_plain_h5py_finds_what_the_format_promises(make_surface: Any, tmp_path: Path) -> None:
    write_surface(make_surface(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["format"] == "bertscape surface"
        assert file.attrs["format_version"] == 1
        assert json.loads(file.attrs["spec"])["kind"] == "surface"
        assert file.attrs["delta1_norm"] == 7.25
        assert file.attrs["cosine"] == 0.1234567890123456789
        assert file.attrs["train_examples"] == 64
        assert json.loads(file.attrs["split_sha256"])["eval"] == "3" * 64
        assert json.loads(file.attrs["self_checks"])[0]["checkpoint"] == "finetuned"
        for name in NUMBERS:
            assert file[name].shape == (5, 7)
            assert file[name].dtype == "<f8"
            assert [scale.keys() for scale in file[name].dims] == [["beta"], ["alpha"]]
        assert file["evaluated"].dtype == "u1"
        assert list(file["trajectory/step"]) == [0, 4, 8]
        assert list(file["run/outcome"].asstr()) == ["lost", "done"]


def test_values_without_meaning_are_left_out(make_surface: Any, tmp_path: Path) -> None:
    write_surface(make_surface("curve"), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert "delta2_norm" not in file.attrs
        assert "cosine" not in file.attrs
        assert "beta" not in file
        assert file["train_loss"].shape == (7,)


def test_who_computed_it_and_how_precisely_is_in_the_attributes(
    make_surface: Any, tmp_path: Path
) -> None:
    points = ((0.0, 0.0), (0.5, -0.5))
    differences = {"train_loss": 2e-3, "train_error": 0.0, "eval_loss": np.inf, "eval_error": 0.1}
    update = {
        "precision": "bf16",
        "evaluator": "packed",
        "rounding": RoundingFound(at=points, **differences),
    }
    surface = make_surface()
    surface = dataclasses.replace(surface, findings=surface.findings.model_copy(update=update))
    write_surface(surface, tmp_path / "a.h5")
    assert_equal(read_surface(tmp_path / "a.h5"), surface)
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file.attrs["precision"], file.attrs["evaluator"]) == ("bf16", "packed")
        found = {name: file.attrs[f"fp32_difference_{name}"] for name in differences}
    assert found == differences


def test_a_file_from_before_the_evaluator_was_noted_still_reads(
    make_surface: Any, tmp_path: Path
) -> None:
    write_surface(make_surface(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        found = json.loads(file.attrs["findings"])
        assert (found.pop("evaluator"), found.pop("rounding")) == (None, None)
        file.attrs["findings"] = json.dumps(found)
        assert not [key for key in file.attrs if "evaluator" in key or "fp32" in key]
    assert_equal(read_surface(tmp_path / "a.h5"), make_surface())


@pytest.mark.parametrize("layers", ["all", "high", "embeddings"])
def test_a_layer_group_is_in_the_attributes(make_surface: Any, tmp_path: Path, layers: str) -> None:
    surface = make_surface(layers=layers)
    write_surface(surface, tmp_path / "a.h5")
    assert_equal(read_surface(tmp_path / "a.h5"), surface)
    with h5py.File(tmp_path / "a.h5") as file:
        found = {key: value for key, value in file.attrs.items() if key.startswith("group_")}
        spec = json.loads(file.attrs["spec"])
    assert (spec["layers"], spec["origin"]) == (
        layers,
        "pretrained" if layers == "all" else "finetuned",
    )
    if layers == "high":
        assert list(found.pop("group_layers")) == [4, 6]
    assert found == ({} if layers == "all" else {"group_x_norm": 3.5, "group_y_norm": 2.5})
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        xarray.testing.assert_identical(dataset.load(), to_xarray(surface))


@pytest.mark.parametrize("kind", ["surface", "curve"])
def test_xarray_opens_every_group_without_warnings(
    make_surface: Any, tmp_path: Path, kind: str
) -> None:
    surface = make_surface(kind, holes=(1,))
    write_surface(surface, tmp_path / "a.h5")
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        xarray.testing.assert_identical(dataset.load(), to_xarray(surface))
        assert dataset.train_loss.dims == (("beta", "alpha") if kind == "surface" else ("alpha",))
        assert dataset.sel(alpha=1.0).alpha == 1.0
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="trajectory") as steps:
        assert dict(steps.sizes) == {"step": 3}
        assert steps.alpha_lsq.sel(step=4) == 0.61
        assert "step" in steps.coords
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="run") as run:
        assert run.started.dtype.kind == "M"
        assert list(run.worker.values) == ["worker-1", "worker-2 é"]


def test_long_findings_fit(make_surface: Any, tmp_path: Path) -> None:
    surface = make_surface()
    trajectory = surface.findings.trajectory
    many = {name: getattr(trajectory, name) * 1000 for name in type(trajectory).model_fields}
    findings = surface.findings.model_copy(update={"trajectory": type(trajectory)(**many)})
    surface = dataclasses.replace(surface, findings=findings)
    write_surface(surface, tmp_path / "a.h5")  # a compact attribute ends at 64 KiB
    assert_equal(read_surface(tmp_path / "a.h5"), surface)


def test_a_failed_write_leaves_the_old_file(
    make_surface: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    old = make_surface()
    write_surface(old, path)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_surface(make_surface(holes=(0,)), path)
    assert_equal(read_surface(path), old)
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(make_surface: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_surface(make_surface(), path)
    code = (
        "import os, pathlib, sys\n"
        "from bertscape.values.publish import publishing\n"
        "with publishing(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    assert_equal(read_surface(path), make_surface())


def test_a_published_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    with publishing(tmp_path / "published") as file:
        file.write(b"all")
    assert (tmp_path / "published").stat().st_mode == (tmp_path / "usual").stat().st_mode


def change(path: Path, how: str) -> None:
    with h5py.File(path, "r+") as file:
        match how:
            case "foreign":
                file.attrs["format"] = "something else"
            case "newer":
                file.attrs["format_version"] = 2
            case "no dataset":
                del file["eval_error"]
            case "no group":
                del file["run"]
            case "no findings":
                del file.attrs["findings"]
            case "broken spec":
                file.attrs["spec"] = '{"kind": "surface"}'
            case "shape":
                del file["evaluated"]
                file["evaluated"] = np.zeros((2, 2), "u1")
            case "axis":
                file["alpha"][0] = -0.9


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("foreign", "not a bertscape surface"),
        ("newer", "format version 2; expected .* version 1"),
        ("no dataset", "no dataset /eval_error"),
        ("no group", "no group run"),
        ("no findings", "no attribute findings"),
        ("broken spec", "attribute spec is wrong"),
        ("shape", r"/evaluated of shape \(2, 2\), not \(5, 7\)"),
        ("axis", "dataset alpha is not the axis"),
    ],
)
def test_what_is_not_a_surface_says_why(
    make_surface: Any, tmp_path: Path, how: str, message: str
) -> None:
    path = tmp_path / "a.h5"
    write_surface(make_surface(), path)
    change(path, how)
    with pytest.raises(SurfaceFileError, match=message) as caught:
        read_surface(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n then nothing"])
def test_what_is_not_hdf5_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(SurfaceFileError, match="not a whole HDF5 file"):
        read_surface(tmp_path / "a.h5")


def test_a_cut_file_says_so(make_surface: Any, tmp_path: Path) -> None:
    whole = result_bytes(make_surface())
    for length in range(100, len(whole), len(whole) // 20):
        (tmp_path / "a.h5").write_bytes(whole[:length])
        with pytest.raises(SurfaceFileError):
            read_surface(tmp_path / "a.h5")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SurfaceFileError, match=r"no\.h5: no such file"):
        read_surface(tmp_path / "no.h5")
