"""The HDF5 file of a surface, format version 1; `docs/file-format.md` describes it."""

from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from bertscape.results.result_file import (
    FORMAT_VERSION,
    Attribute,
    Dataset,
    ResultFile,
    described,
    described_number,
    image,
    in_memory,
    labelled,
    reading,
    root_attributes,
    write_group,
    write_run,
)
from bertscape.results.surface import Surface
from bertscape.spec import LandscapeSpec
from bertscape.values import NUMBERS, TrajectoryFound, publishing

if TYPE_CHECKING:
    import xarray

__all__ = ["FORMAT_VERSION", "read_surface", "surface_bytes", "to_xarray", "write_surface"]

_FORM = Surface.form
_DELTA1 = "norm of delta1"  # the unit of both coordinates


def write_surface(surface: Surface, path: str | Path) -> None:
    """Publish a surface as an HDF5 file: temporary name, fsync, rename.

    Raises:
        OSError: it could not be written; `path` then holds what it held before.
    """
    content = surface_bytes(surface)
    with publishing(Path(path)) as file:
        file.write(content)


def surface_bytes(surface: Surface) -> bytes:
    """The whole HDF5 file of a surface, as bytes."""
    with in_memory() as file:
        file.attrs.update(_root_attributes(surface))
        write_group(file, _root_datasets(surface))
        if surface.trajectory is not None:
            group = file.create_group("trajectory")
            group.attrs["description"] = "checkpoints, projected onto the plane"
            write_group(group, _trajectory_datasets(surface.trajectory))
        write_run(file, surface.run)
        return image(file)


def to_xarray(surface: Surface) -> "xarray.Dataset":
    """The same dataset that `xarray.open_dataset(path, engine="h5netcdf")` reads from the file.

    Raises:
        MissingExtra: the package xarray is not installed.
    """
    return labelled(_root_datasets(surface), _root_attributes(surface))


def read_surface(source: str | Path | IO[bytes]) -> Surface:
    """Read a file that `write_surface` wrote; `source` is its path, or the open file.

    Raises:
        SurfaceFileError: it does not exist, is not HDF5 or no surface, has a newer format version
            or lacks a dataset; the message names the file and what is wrong.
    """
    with reading(source, _FORM) as file:
        return _read(file)


# ------------------------------------------------------------------------------------- writing


def _root_datasets(surface: Surface) -> list[Dataset]:
    alpha = Dataset(
        "alpha", surface.alpha, ("alpha",), described("coordinate along delta1", _DELTA1)
    )
    datasets = [alpha]
    dimensions: tuple[str, ...] = ("alpha",)
    if surface.beta is not None:
        about = described("coordinate along delta2", _DELTA1)
        datasets.append(Dataset("beta", surface.beta, ("beta",), about))
        dimensions = ("beta", "alpha")
    datasets += [
        Dataset(name, surface[name], dimensions, described_number(name)) for name in NUMBERS
    ]
    about = described("1 where a value was computed, 0 where it is missing", "1")
    return [*datasets, Dataset("evaluated", surface.evaluated, dimensions, about)]


def _trajectory_datasets(trajectory: TrajectoryFound) -> list[Dataset]:
    places = {
        "alpha": "projection of the paper onto delta1",
        "beta": "projection of the paper: distance from the line along delta1",
        "alpha_lsq": "least squares onto the plane, relative to its origin, along delta1",
        "beta_lsq": "least squares onto the plane, relative to its origin, along delta2",
        "residual": "distance from the plane",
    }
    numbers = np.array(trajectory.numbers, dtype="f8").reshape(-1, len(NUMBERS))
    about = described("training step of the checkpoint", "1")
    return [
        Dataset("step", np.array(trajectory.step, dtype="i8"), ("step",), about),
        *(
            Dataset(
                name,
                np.array(getattr(trajectory, name), dtype="f8"),
                ("step",),
                described(description, _DELTA1),
            )
            for name, description in places.items()
        ),
        *(
            Dataset(name, numbers[:, column], ("step",), described_number(name))
            for column, name in enumerate(NUMBERS)
        ),
    ]


def _root_attributes(surface: Surface) -> dict[str, Attribute]:
    """Those of every result, and what a plane alone has."""
    explained = surface.findings.explained_variance or {}
    return {
        **root_attributes(surface.spec, surface.findings, _FORM),
        **_group_attributes(surface),
        **{f"{axis}_explained_variance": value for axis, value in explained.items()},
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


# ------------------------------------------------------------------------------------- reading


def _read(file: ResultFile) -> Surface:
    file.check_format()
    spec = cast(LandscapeSpec, file.spec())  # its form says so
    shape = spec.points.shape
    surface = Surface(
        spec=spec,
        findings=file.findings(),
        numbers=np.stack([file.values(number, shape) for number in NUMBERS]),
        evaluated=file.values("evaluated", shape),
        run=file.run(),
    )
    for axis, values in (("alpha", surface.alpha), ("beta", surface.beta)):
        if values is not None and not np.allclose(
            file.values(axis, values.shape), values, rtol=0, atol=1e-9
        ):
            raise file.refusal(f"dataset {axis} is not the axis that the spec asks for")
    return surface
