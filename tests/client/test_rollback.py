"""Rollbacks in memory, in their file, in a picture and on the command line."""

import dataclasses
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray
from numpy.typing import NDArray

from bertscape import Rollback, Surface, parse_spec, read_result
from bertscape.cli import main
from bertscape.figures import plot_rollback
from bertscape.results import Attempt, Run, result_bytes
from bertscape.results.rollback import assemble_rollback
from bertscape.spec import ROLLBACK_NUMBERS, RollbackSpec
from bertscape.values import (
    CheckpointFound,
    Findings,
    GroupFound,
    SelfCheck,
    SplitFound,
    SurfaceFileError,
)

GROUPS = ["low", [4, 8], "all"]
NUMBERS: NDArray[np.float64] = np.array(
    # θ1, low, layers 4 to 7, all
    [
        [0.10, 0.12, 0.30, 0.70],  # train_loss
        [0.02, 0.03, 0.10, 0.50],  # train_error
        [0.30, 0.31, 0.45, 0.72],  # eval_loss
        [0.20, 0.19, 0.25, 0.48],  # eval_error
        [0.00, 0.02, 0.20, 0.60],  # changes, in the same order
        [0.00, 0.01, 0.08, 0.48],
        [0.00, 0.01, 0.15, 0.42],
        [0.00, -0.01, 0.05, 0.28],
        *([0.01, 0.01, 0.02, 0.03] for _ in range(4)),  # standard errors
        *([0.00, 0.005, 0.01, 0.02] for _ in range(4)),
    ]
)


def rollback_spec(**changes: Any) -> RollbackSpec:
    spec = parse_spec(
        {
            "kind": "rollback",
            "name": "mrpc",
            "model": {"pretrained": "/runs/a/checkpoint-0", "finetuned": "/runs/a/checkpoint-8"},
            "groups": GROUPS,
            "data": {
                "train": {"path": "/data/train.tsv"},
                "eval": {"path": "/data/dev.tsv"},
                "text": ["sentence"],
            },
            **changes,
        }
    )
    assert isinstance(spec, RollbackSpec)
    return spec


def found(passed: bool = True) -> Findings:
    numbers = (0.1, 0.02, 0.3, 0.2, 0.01, 0.01, 0.01, 0.01)
    return Findings(
        checkpoints={
            "pretrained": CheckpointFound(source="/runs/a/checkpoint-0", sha256="0" * 64),
            "finetuned": CheckpointFound(source="/runs/a/checkpoint-8", sha256="1" * 64),
        },
        splits={
            "train": SplitFound(source="/data/train.tsv", sha256="2" * 64, examples=64, tokens=900),
            "eval": SplitFound(source="/data/dev.tsv", sha256="3" * 64, examples=32, tokens=400),
        },
        delta1_norm=8.0,
        delta2_norm=None,
        cosine=None,
        classes=2,
        self_checks=(
            SelfCheck(
                checkpoint="finetuned",
                alpha=0.0,
                beta=0.0,
                expected=numbers,
                found=numbers if passed else (0.2, *numbers[1:]),
                passed=passed,
            ),
        ),
        trajectory=None,
        precision="fp32",
        device="a CPU",
        threads=1,
        torch="2.13.0+cpu",
        groups=(
            GroupFound(layers=(0, 4), x_norm=2.0, y_norm=None),
            GroupFound(layers=(4, 8), x_norm=4.0, y_norm=None),
            GroupFound(layers=None, x_norm=8.0, y_norm=None),
        ),
    )


RUN = Run(
    (
        Attempt(0, 1, "worker-1", "a CPU", 1_700_000_000.25, 0.5, "lost"),
        Attempt(0, 2, "worker-2 é", "a CPU", 1_700_000_001.5, 0.75, "done"),
    ),
    workers=2,
    tile_points=2,
    versions={"torch": "2.13.0"},
)


def a_rollback(numbers: NDArray[np.float64] = NUMBERS, **changes: Any) -> Rollback:
    whole = Rollback(rollback_spec(), found(), numbers.copy(), np.ones(4, np.uint8), RUN)
    return dataclasses.replace(whole, **changes)


def snapshot() -> Rollback:
    """The first tile is done, of two points."""
    tile = NUMBERS.T[:2]
    return assemble_rollback(rollback_spec(), found(), 2, [(0, tile)], Run(workers=2))


# --- in memory ----------------------------------------------------------------------------------


def test_groups_have_names_and_numbers() -> None:
    rollback = a_rollback()
    assert rollback.groups == ("none", "low", "[4, 8]", "all")
    assert rollback.distance.tolist() == [0, 0.25, 0.5, 1]
    assert rollback["eval_error_change"].tolist() == [0, -0.01, 0.05, 0.28]
    assert rollback.accuracy_change.tolist() == [0, 0.01, -0.05, -0.28]
    assert not np.signbit(rollback.accuracy_change[0])  # 0, not −0
    np.testing.assert_allclose(rollback.accuracy, [0.8, 0.81, 0.75, 0.52])
    with pytest.raises(KeyError, match="expected one of train_loss"):
        rollback["accuracy"]


def test_thirds_are_the_default() -> None:
    spec = rollback_spec()
    value = {key: item for key, item in spec.to_json().items() if key != "groups"}
    found = parse_spec(value)
    assert isinstance(found, RollbackSpec)
    assert [group.to_json() for group in found.groups] == ["low", "middle", "high"]
    assert parse_spec(spec.to_json()) == spec


def test_its_points_are_cut_into_tiles_in_order() -> None:
    spec = rollback_spec()
    assert [tile.points for tile in spec.tiles(3)] == [(0, 1, 2), (3,)]
    assert spec.coordinates([2, 3]).tolist() == [[2, 0], [3, 0]]
    tiles = [(1, NUMBERS.T[3:]), (0, NUMBERS.T[:3])]
    whole = assemble_rollback(spec, found(), 3, tiles, Run())
    assert whole.numbers.tobytes() == NUMBERS.tobytes()
    assert whole.complete


def test_a_snapshot_has_holes() -> None:
    rollback = snapshot()
    assert not rollback.complete
    assert rollback.evaluated.tolist() == [1, 1, 0, 0]
    assert np.isnan(rollback["train_loss"]).tolist() == [False, False, True, True]


# --- in a file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rollback", [a_rollback(), snapshot()])
def test_round_trip(rollback: Rollback, tmp_path: Path) -> None:
    rollback.save(tmp_path / "a.h5")
    for back in (Rollback.load(tmp_path / "a.h5"), read_result(tmp_path / "a.h5")):
        assert isinstance(back, Rollback)
        assert (back.spec, back.run) == (rollback.spec, rollback.run)
        assert list(back.findings.differences(rollback.findings)) == []
        assert back.numbers.tobytes() == rollback.numbers.tobytes()
        assert back.evaluated.tobytes() == rollback.evaluated.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_values_that_are_not_finite_stay_so(tmp_path: Path) -> None:
    numbers = NUMBERS.copy()
    numbers[0, :3] = np.nan, np.inf, -np.inf
    a_rollback(numbers).save(tmp_path / "a.h5")
    back = Rollback.load(tmp_path / "a.h5")
    assert back.numbers.tobytes() == numbers.tobytes()
    assert back.complete


def test_equal_rollbacks_make_equal_bytes() -> None:
    assert result_bytes(a_rollback()) == result_bytes(a_rollback())


def test_plain_h5py_reads_it_without_bertscape(tmp_path: Path) -> None:
    a_rollback().save(tmp_path / "a.h5")
    code = (
        "import h5py, json, sys\n"
        "with h5py.File(sys.argv[1]) as file:\n"
        "    groups = file['group'].asstr()[:].tolist()\n"
        "    scale = file['eval_error_change'].dims[0][0].name\n"
        "    units = file['train_loss_change'].attrs['units']\n"
        "    kind, form = file.attrs['kind'], file.attrs['format']\n"
        "    spec = json.loads(file.attrs['spec'])\n"
        "    print([groups, scale, units, kind, form, spec['groups'][1]])\n"
        "assert 'bertscape' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.h5")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = [["none", "low", "[4, 8]", "all"], "/group", "nat", "rollback"]
    assert printed.strip() == str([*expected, "bertscape rollback", [4, 8]])


def test_every_number_says_what_it_is(tmp_path: Path) -> None:
    a_rollback().save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        abouts = {name: file[name].attrs["description"] for name in ROLLBACK_NUMBERS}
        assert file.attrs["train_examples"] == 64
        assert file.attrs["delta1_norm"] == 8.0
        assert "delta2_norm" not in file.attrs
        assert list(file["run/outcome"].asstr()) == ["lost", "done"]
    assert len(set(abouts.values())) == 16
    assert abouts["eval_error_change_stderr"] == (
        "standard error of the change against the fine-tuned backbone of the 1 - accuracy "
        "on the evaluation split"
    )


def test_xarray_selects_a_group_by_its_name(tmp_path: Path) -> None:
    rollback = a_rollback()
    rollback.save(tmp_path / "a.h5")
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert float(dataset.eval_error_change.sel(group="[4, 8]")) == 0.05
        assert set(dataset.dims) == {"group"}
        xarray.testing.assert_identical(dataset.load(), rollback.to_xarray())
    xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="run").close()


def test_each_reader_says_what_reads_the_other(make_surface: Any, tmp_path: Path) -> None:
    a_rollback().save(tmp_path / "rollback.h5")
    make_surface().save(tmp_path / "surface.h5")
    with pytest.raises(SurfaceFileError, match=r"rollback\.h5: .*a bertscape rollback: `read_res"):
        Surface.load(tmp_path / "rollback.h5")
    with pytest.raises(SurfaceFileError, match=r"surface\.h5: .*a bertscape surface: `read_resul"):
        Rollback.load(tmp_path / "surface.h5")
    assert isinstance(read_result(tmp_path / "surface.h5"), Surface)
    with (tmp_path / "rollback.h5").open("rb") as stream:
        assert isinstance(read_result(io.BytesIO(stream.read())), Rollback)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("text")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "something"
    for name, reason in (
        ("absent.h5", "no such file"),
        ("text.h5", "not a whole HDF5 file"),
        ("other.h5", "not a bertscape surface"),
    ):
        with pytest.raises(SurfaceFileError, match=rf"{name}: {reason}"):
            read_result(tmp_path / name)


def broken(file: h5py.File, what: str) -> None:
    match what:
        case "group":
            file["group"][1] = "high"
        case "short":
            del file["train_loss_change"]
            file["train_loss_change"] = np.zeros(3)
        case "spec":
            file.attrs["spec"] = json.dumps({"kind": "rollback"})
        case "version":
            file.attrs["format_version"] = 2
        case name:
            del file[name]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("eval_loss_change_stderr", "no dataset /eval_loss_change_stderr"),
        ("evaluated", "no dataset /evaluated"),
        ("run", "no group run"),
        ("group", "not the groups that the spec asks for"),
        ("short", "dataset /train_loss_change of shape"),
        ("spec", "attribute spec is wrong"),
        ("version", "format version 2"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(what: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    a_rollback().save(path)
    with h5py.File(path, "a") as file:
        broken(file, what)
    with pytest.raises(SurfaceFileError, match=reason) as caught:
        read_result(path)
    assert str(path) in str(caught.value)
    assert "expected a rollback file of format version 1" in str(caught.value)


# --- in a picture -------------------------------------------------------------------------------


def texts(figure: Any) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_text())


def dots(axes: Any) -> dict[str, list[float]]:
    """X coordinates of the dots, by the label of their series."""
    return {one.get_label(): one[0].get_xdata().tolist() for one in axes.containers}


def test_the_picture_has_a_row_for_each_group() -> None:
    figure = a_rollback().plot()
    figure.draw_without_rendering()
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["low", "[4, 8]", "all"]
    assert left.get_ylim() == (2.5, -0.5)
    assert left.get_xlabel() == "change of accuracy (percentage points)"
    assert right.get_xlabel() == "change of loss (nat)"
    assert dots(left)["evaluation split"] == pytest.approx([1, -5, -28])
    assert dots(right)["training split"] == pytest.approx([0.02, 0.2, 0.6])
    (bars,) = left.containers[0][2]
    low, high = bars.get_segments()[1][:, 0]
    assert (low, high) == pytest.approx((-5 - 1.95996, -5 + 1.95996), abs=1e-4)
    written = texts(figure)
    assert "mrpc" in written
    assert "64 train, 32 eval examples" in written
    assert "FAILED" not in written
    assert "snapshot" not in written


def test_what_is_not_known_is_no_dot() -> None:
    numbers = NUMBERS.copy()
    numbers[6, 3] = np.inf
    figure = plot_rollback(a_rollback(numbers))
    figure.draw_without_rendering()
    _, right = figure.axes
    assert dots(right)["evaluation split"] == pytest.approx([0.01, 0.15])
    figure = plot_rollback(snapshot())
    figure.draw_without_rendering()
    assert "snapshot: 50 % of points" in texts(figure)
    assert dots(figure.axes[0])["evaluation split"] == pytest.approx([1])


def test_a_single_example_has_no_bar(tmp_path: Path) -> None:
    numbers = NUMBERS.copy()
    numbers[8:] = np.nan
    figure = plot_rollback(a_rollback(numbers))
    figure.draw_without_rendering()
    assert len(dots(figure.axes[0])["evaluation split"]) == 3


def test_a_failed_self_check_stands_in_the_picture() -> None:
    figure = plot_rollback(a_rollback(findings=found(passed=False)))
    assert "self-check FAILED at finetuned" in texts(figure)


# --- on the command line ------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    a_rollback().save(tmp_path / "a.h5")
    return tmp_path / "a.h5"


def test_plot_draws_it(file: Path, capsys: Any) -> None:
    assert main(["plot", str(file)]) == 0
    assert capsys.readouterr().out == f"{file.with_suffix('.png')}\n"
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_plot_takes_no_value_for_it(file: Path, capsys: Any) -> None:
    assert main(["plot", str(file), "--value", "eval_loss"]) == 2
    said = capsys.readouterr().err
    assert "--value: ['eval_loss']; expected no --value: the picture of a rollback" in said
    assert not file.with_suffix(".png").exists()


def test_measure_prints_its_changes(file: Path, capsys: Any) -> None:
    assert main(["measure", str(file)]) == 0
    head, none, low, middle, everything = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "PUT BACK"
    assert none.split() == ["none", "0.000", "80.00", "±", "1.00"]
    assert low.startswith("low")
    assert "[4, 8]" in middle
    assert "75.00 ± 2.00  -5.00 (-6.96 to -3.04)" in middle
    assert "+0.1500 (+0.1304 to +0.1696)" in middle
    assert "-28.00 (-31.92 to -24.08)" in everything


def test_measure_says_what_is_not_there(tmp_path: Path, capsys: Any) -> None:
    snapshot().save(tmp_path / "b.h5")
    assert main(["measure", str(tmp_path / "b.h5")]) == 0
    assert capsys.readouterr().out.count("not evaluated") == 8


def test_measure_gives_every_number_as_json(file: Path, capsys: Any) -> None:
    assert main(["measure", str(file), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["groups"] == ["none", "low", "[4, 8]", "all"]
    assert numbers["eval_error_change"] == NUMBERS[7].tolist()
    assert numbers["accuracy_change"] == (0 - NUMBERS[7]).tolist()
    assert numbers["evaluated"] == [True] * 4
    assert set(ROLLBACK_NUMBERS) < set(numbers)
    assert not any(math.isnan(value) for value in numbers["train_loss"])


@pytest.mark.parametrize(
    "option", [["--threshold", "0.5"], ["--radius", "1"], ["--fraction", "0.1"]]
)
def test_measure_has_no_optimum_in_it(file: Path, capsys: Any, option: list[str]) -> None:
    assert main(["measure", str(file), *option]) == 2
    assert f"{option[0]}: {option[1]}" in capsys.readouterr().err.replace("[", "").replace("]", "")


def test_a_failed_self_check_is_told(tmp_path: Path, capsys: Any) -> None:
    a_rollback(findings=found(passed=False)).save(tmp_path / "a.h5")
    assert main(["measure", str(tmp_path / "a.h5")]) == 0
    assert "self-check FAILED" in capsys.readouterr().err
