"""A rollback through the real service, on real Ray workers, and by `run` in one process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from tests.integration.live_service import LiveService, SmallInputs

from bertscape import InvalidInput, Rollback, ServiceError, Surface, SurfaceFileError, read_result


def rollback_spec(inputs: SmallInputs, **changes: Any) -> dict[str, Any]:
    spec = inputs.spec()
    groups = [[0, 1], [1, 2], "embeddings", "pooler", "all"]
    return {
        "kind": "rollback",
        "groups": groups,
        **{key: spec[key] for key in ("model", "data")},
        **changes,
    }


def datasets(path: Path) -> dict[str, Any]:
    """Shape and bytes of each dataset outside `run/`."""
    with h5py.File(path) as file:
        texts = file["group"].asstr()[:].tolist()
        names = [name for name, item in file.items() if isinstance(item, h5py.Dataset)]
        arrays = {name: file[name][()] for name in names if name != "group"}
    return {"group": texts, **{name: (one.shape, one.tobytes()) for name, one in arrays.items()}}


def bertscape(*arguments: str) -> str:
    command = [sys.executable, "-m", "bertscape", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout


def test_a_rollback_is_the_same_however_it_is_computed(
    serve: Callable[..., LiveService], small_inputs: SmallInputs, tmp_path: Path
) -> None:
    spec = rollback_spec(small_inputs)
    # Six points on two workers, on one, and in one go without a service.
    for name, workers in (("a", 2), ("b", 1)):
        service = serve(name, workers=workers)
        job = service.client().submit(spec).wait(progress=False, timeout=200)
        assert (job.status.kind, job.status.points_total) == ("rollback", 6)
        assert job.status.tiles_total == 6  # of one group each, whatever a grid's hold
        assert [check["passed"] for check in job.status.self_checks] == [True, True]
        job.fetch(tmp_path / f"{name}.h5")
        result = job.result()
        assert isinstance(result, Rollback)
        assert result.complete
        assert result.numbers.tobytes() == Rollback.load(tmp_path / f"{name}.h5").numbers.tobytes()
        with pytest.raises(SurfaceFileError, match="read_result"):
            job.surface()
        if name == "a":
            refuse_what_does_not_fit(service, small_inputs)
            shown = bertscape("show", job.id, "--url", service.url)
            assert "rollback" in shown
            assert "6 of 6" in shown
            fetched = tmp_path / "fetched.h5"
            bertscape("fetch", job.id, "-o", str(fetched), "--url", service.url)
            assert fetched.read_bytes() == (tmp_path / "a.h5").read_bytes()
        assert service.stop() == 0

    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    shown = bertscape("run", str(path), "-o", str(tmp_path / "run.h5"))
    assert shown.endswith("6 points, self-checks 2 of 2 passed\n")
    assert datasets(tmp_path / "a.h5") == datasets(tmp_path / "b.h5")
    assert datasets(tmp_path / "a.h5") == datasets(tmp_path / "run.h5")
    check_against_a_curve(service_free_curve(small_inputs, tmp_path), tmp_path / "run.h5")


def refuse_what_does_not_fit(service: LiveService, inputs: SmallInputs) -> None:
    """At submission, by the key of the group."""
    with pytest.raises((ServiceError, InvalidInput), match=r"groups\[1\].*within the 2 encoder"):
        service.client().submit(rollback_spec(inputs, groups=["all", [1, 3]]))
    with pytest.raises((ServiceError, InvalidInput), match=r"groups\[0\].*'low'.*non-empty"):
        service.client().submit(rollback_spec(inputs, groups=["low"]))


def service_free_curve(inputs: SmallInputs, folder: Path) -> Surface:
    """From θ0 to θ1, the same model and data."""
    spec = inputs.spec()
    curve = {key: spec[key] for key in ("model", "data")}
    value = {"kind": "curve", "grid": {"x": [0, 1, 2]}, **curve}
    (folder / "curve.yaml").write_text(yaml.safe_dump(value))
    bertscape("run", str(folder / "curve.yaml"), "-o", str(folder / "curve.h5"))
    return Surface.load(folder / "curve.h5")


def check_against_a_curve(curve: Surface, path: Path) -> None:
    """θ1 is the curve's end, and all put back is its start."""
    rollback = read_result(path)
    assert isinstance(rollback, Rollback)
    for name in ("train_loss", "train_error", "eval_loss", "eval_error"):
        ends = [rollback[name][-1], rollback[name][0]]
        np.testing.assert_allclose(ends, curve[name], rtol=1e-5, atol=1e-7)
    assert rollback.findings.delta1_norm == curve.findings.delta1_norm
