"""The HDF5 file of a surface, format version 1; `docs/file-format.md` describes it.

The whole file is put together in memory (a hundred thousand points take 7 MB) and written as plain
bytes, so that a full disk is an ordinary `OSError` and the published name never holds half a file.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bertscape.errors import (
    InvalidInput,
    MissingExtra,
    Problem,
    ProblemType,
    SurfaceFileError,
    shortened,
)
from bertscape.findings import NUMBERS, Findings, TrajectoryFound
from bertscape.publish import publishing
from bertscape.spec import LandscapeSpec, parse_spec
from bertscape.surface import Attempt, Run, Surface

if TYPE_CHECKING:
    import xarray

FORMAT = "bertscape surface"
FORMAT_VERSION = 1

_DELTA1 = "norm of delta1"  # the unit of both coordinates
_UNITS = {"loss": "nat", "error": "1"}
_SPLITS = {"train": "training split", "eval": "evaluation split"}


@dataclass(frozen=True, slots=True)
class _Dataset:
    """One dataset of the file, before it is written."""

    name: str
    values: NDArray[Any]
    dimensions: tuple[str, ...]  # names of dimension scales in the same group
    attributes: Mapping[str, str] = field(default_factory=dict)  # description, units


def write_surface(surface: Surface, path: str | Path) -> None:
    """Publish a surface as an HDF5 file: temporary name, fsync, rename.

    Raises:
        OSError: it could not be written; `path` then holds what it held before.
    """
    image = surface_bytes(surface)
    with publishing(Path(path)) as file:
        file.write(image)


def surface_bytes(surface: Surface) -> bytes:
    """The whole HDF5 file of a surface, as bytes."""
    # The core driver with no backing store never touches the disk, whatever the name.
    with h5py.File("surface", "w", driver="core", backing_store=False) as file:
        file.attrs.update(_root_attributes(surface))
        _write_group(file, _root_datasets(surface))
        if surface.trajectory is not None:
            group = file.create_group("trajectory")
            group.attrs["description"] = "checkpoints, projected onto the plane"
            _write_group(group, _trajectory_datasets(surface.trajectory))
        group = file.create_group("run")
        group.attrs.update(_run_attributes(surface.run))
        _write_group(group, _run_datasets(surface.run))
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def to_xarray(surface: Surface) -> "xarray.Dataset":
    """The same dataset that `xarray.open_dataset(path, engine="h5netcdf")` reads from the file.

    Raises:
        MissingExtra: the package xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        detail = "a labelled dataset needs xarray: pip install xarray h5netcdf"
        raise MissingExtra(Problem(ProblemType.UNAVAILABLE, detail)) from error
    datasets = _root_datasets(surface)
    variables = {d.name: (d.dimensions, d.values, dict(d.attributes)) for d in datasets}
    coordinates = [name for name in ("alpha", "beta") if name in variables]
    dataset = xarray.Dataset(variables, attrs=_root_attributes(surface))
    return dataset.set_coords(coordinates)


def read_surface(source: str | Path | IO[bytes]) -> Surface:
    """Read a file that `write_surface` wrote; `source` is its path, or the open file.

    Raises:
        SurfaceFileError: it is not there, not HDF5, not a surface, of a newer format version, or
            lacks a dataset; the message names the file and what is wrong.
    """
    name = str(source) if isinstance(source, str | Path) else "the stream"
    if isinstance(source, str | Path) and not Path(source).is_file():
        raise _not_a_surface(name, "no such file", ProblemType.PATH_NOT_FOUND)
    try:
        # A published file never changes: no lock is needed, and a read-only disk allows none.
        with h5py.File(source, "r", locking=False) as file:
            return _read(file, name)
    except (OSError, RuntimeError) as error:  # what the HDF5 library raises
        raise _not_a_surface(name, f"not a whole HDF5 file ({error})") from error


# ------------------------------------------------------------------------------------- writing


def _write_group(group: h5py.Group, datasets: Iterable[_Dataset]) -> None:
    """Write datasets and tie each to its dimension scales, which are named first."""
    for dataset in datasets:
        text = dataset.values.dtype.kind == "O"
        written = group.create_dataset(
            dataset.name,
            data=dataset.values,
            dtype=h5py.string_dtype() if text else dataset.values.dtype,
            track_times=False,  # equal surfaces make equal bytes
        )
        written.attrs.update(dataset.attributes)
        if dataset.dimensions == (dataset.name,):
            written.make_scale(dataset.name)
            continue
        for axis, dimension in enumerate(dataset.dimensions):
            written.dims[axis].attach_scale(group[dimension])


def _root_datasets(surface: Surface) -> list[_Dataset]:
    alpha = _Dataset("alpha", surface.alpha, ("alpha",), _about("coordinate along delta1", _DELTA1))
    datasets = [alpha]
    dimensions: tuple[str, ...] = ("alpha",)
    if surface.beta is not None:
        about = _about("coordinate along delta2", _DELTA1)
        datasets.append(_Dataset("beta", surface.beta, ("beta",), about))
        dimensions = ("beta", "alpha")
    datasets += [_Dataset(name, surface[name], dimensions, _about_number(name)) for name in NUMBERS]
    about = _about("1 where a value was computed, 0 where it is missing", "1")
    return [*datasets, _Dataset("evaluated", surface.evaluated, dimensions, about)]


def _trajectory_datasets(trajectory: TrajectoryFound) -> list[_Dataset]:
    places = {
        "alpha": "projection of the paper onto delta1",
        "beta": "projection of the paper: distance from the line along delta1",
        "alpha_lsq": "least squares onto the plane, relative to its origin, along delta1",
        "beta_lsq": "least squares onto the plane, relative to its origin, along delta2",
        "residual": "distance from the plane",
    }
    numbers = np.array(trajectory.numbers, dtype="f8").reshape(-1, len(NUMBERS))
    about = _about("training step of the checkpoint", "1")
    return [
        _Dataset("step", np.array(trajectory.step, dtype="i8"), ("step",), about),
        *(
            _Dataset(
                name,
                np.array(getattr(trajectory, name), dtype="f8"),
                ("step",),
                _about(description, _DELTA1),
            )
            for name, description in places.items()
        ),
        *(
            _Dataset(name, numbers[:, column], ("step",), _about_number(name))
            for column, name in enumerate(NUMBERS)
        ),
    ]


_ATTEMPTS: dict[str, tuple[type, str, str]] = {
    "tile": (int, "tile", "1"),
    "attempt": (int, "which try at the tile, from 1", "1"),
    "worker": (str, "worker that tried", ""),
    "device": (str, "device of the worker", ""),
    # This unit makes xarray decode times; in the next, "seconds" would make it a duration.
    "started": (float, "start of the attempt", "seconds since 1970-01-01 00:00:00"),
    "seconds": (float, "length of the attempt", "s"),
    "outcome": (str, "done, failed or lost", ""),
}
_DTYPES = {int: np.dtype("i8"), float: np.dtype("f8"), str: np.dtype(object)}


def _run_datasets(run: Run) -> list[_Dataset]:
    """One dataset a column of the attempts, on the dimension `row`."""
    rows = np.arange(len(run.attempts), dtype="i8")
    return [
        _Dataset("row", rows, ("row",), _about("attempts in the order of their ends", "1")),
        *(
            _Dataset(
                name,
                np.array([getattr(attempt, name) for attempt in run.attempts], _DTYPES[kind]),
                ("row",),
                _about(description, units),
            )
            for name, (kind, description, units) in _ATTEMPTS.items()
        ),
    ]


def _run_attributes(run: Run) -> dict[str, str | int]:
    return {
        "workers": run.workers,
        "threads": run.threads,
        "tile_points": run.tile_points,
        "versions": _json(dict(run.versions)),
    }


def _root_attributes(surface: Surface) -> dict[str, str | int | float | list[int]]:
    """Scalars and JSON texts; a value that is not defined for this job is left out."""
    found = surface.findings.to_json()
    explained = surface.findings.explained_variance
    numbers = ("delta1_norm", "delta2_norm", "cosine", "classes", "threads")
    # From the object, not its JSON: there NaN and infinity are strings.
    scalars = {name: getattr(surface.findings, name) for name in numbers}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": surface.spec.kind,
        "spec": _json(surface.spec.to_json()),
        **{name: value for name, value in scalars.items() if value is not None},
        **_group_attributes(surface),
        **{f"{k}_explained_variance": v for k, v in (explained or {}).items()},
        "precision": surface.findings.precision,
        "device": surface.findings.device,
        "torch": surface.findings.torch,
        "checkpoint_sha256": _json({k: v["sha256"] for k, v in found["checkpoints"].items()}),
        "split_sha256": _json({k: v["sha256"] for k, v in found["splits"].items()}),
        **{f"{name}_examples": s.examples for name, s in surface.findings.splits.items()},
        "self_checks": _json(found["self_checks"]),
        "self_checks_failed": len(surface.failed_self_checks),
        "findings": _json(found),
    }


def _group_attributes(surface: Surface) -> dict[str, float | list[int]]:
    """Of a layer group, the range of its layers and the lengths of its directions."""
    group = surface.findings.group
    if group is None:
        return {}
    values = {
        "group_layers": None if group.layers is None else list(group.layers),
        "group_x_norm": group.x_norm,
        "group_y_norm": group.y_norm,
    }
    return {name: value for name, value in values.items() if value is not None}


def _about(description: str, units: str) -> dict[str, str]:
    return {"description": description, **({"units": units} if units else {})}


def _about_number(name: str) -> dict[str, str]:
    split, what, *deviation = name.split("_")
    meaning = {"loss": "mean cross-entropy", "error": "1 - accuracy"}[what]
    of = "standard error of the " if deviation else ""
    return _about(f"{of}{meaning} on the {_SPLITS[split]}", _UNITS[what])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------- reading


def _not_a_surface(
    name: str, reason: str, kind: ProblemType = ProblemType.INVALID_DATA
) -> SurfaceFileError:
    expected = f"a surface file of format version {FORMAT_VERSION}"
    detail = f"{name}: {reason}; expected {expected}"
    return SurfaceFileError(Problem(kind, detail, value=name, expected=expected))


def _read(file: h5py.File, name: str) -> Surface:
    _check_format(file, name)
    spec = _read_spec(file, name)
    try:
        findings = Findings.model_validate_json(_attribute(file, "findings", name))
    except ValidationError as error:
        raise _not_a_surface(name, f"attribute findings is wrong ({error})") from error
    shape = spec.points.shape
    surface = Surface(
        spec=spec,
        findings=findings,
        numbers=np.stack([_values(file, number, shape, name) for number in NUMBERS]),
        evaluated=_values(file, "evaluated", shape, name),
        run=_read_run(file, name),
    )
    for axis, values in (("alpha", surface.alpha), ("beta", surface.beta)):
        if values is not None and not np.allclose(
            _values(file, axis, values.shape, name), values, rtol=0, atol=1e-9
        ):
            raise _not_a_surface(name, f"dataset {axis} is not the axis that the spec asks for")
    return surface


def _check_format(file: h5py.File, name: str) -> None:
    if file.attrs.get("format") != FORMAT:
        raise _not_a_surface(name, f"not a {FORMAT}")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise _not_a_surface(name, f"format version {version}")


def _read_spec(file: h5py.File, name: str) -> LandscapeSpec:
    try:
        spec = parse_spec(json.loads(_attribute(file, "spec", name)))
    except (InvalidInput, ValueError) as error:
        raise _not_a_surface(name, f"attribute spec is wrong ({error})") from error
    if not isinstance(spec, LandscapeSpec):
        raise _not_a_surface(name, f"the spec is that of a {spec.kind}")
    return spec


def _attribute(group: h5py.Group, key: str, name: str) -> Any:
    if key not in group.attrs:
        raise _not_a_surface(name, f"no attribute {key} in {group.name}")
    return group.attrs[key]


def _values(group: h5py.Group, key: str, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """A dataset of float64 or uint8, of the expected shape."""
    path = f"{group.name.rstrip('/')}/{key}"
    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise _not_a_surface(name, f"no dataset {path}")
    if dataset.shape != shape:
        reason = f"dataset {path} of shape {shortened(dataset.shape)}, not {shape}"
        raise _not_a_surface(name, reason)
    values: NDArray[Any] = dataset[()]
    return values


def _read_run(file: h5py.File, name: str) -> Run:
    group = file.get("run")
    if not isinstance(group, h5py.Group):
        raise _not_a_surface(name, "no group run")
    rows = group["row"].shape if "row" in group else (0,)
    columns = []
    for column, (kind, _, _) in _ATTEMPTS.items():
        values = _values(group, column, rows, name)
        texts = kind is str
        columns.append([v.decode() if texts else kind(v) for v in values])
    return Run(
        attempts=tuple(Attempt(*row) for row in zip(*columns, strict=True)),
        workers=int(_attribute(group, "workers", name)),
        threads=int(_attribute(group, "threads", name)),
        tile_points=int(_attribute(group, "tile_points", name)),
        versions=json.loads(_attribute(group, "versions", name)),
    )
