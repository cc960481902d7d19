"""The HDF5 file of a rollback, format version 1; `docs/file-format.md` describes it."""

from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from bertscape.results.result_file import (
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
from bertscape.results.rollback import Rollback
from bertscape.spec import ROLLBACK_NUMBERS, RollbackSpec
from bertscape.values import publishing

if TYPE_CHECKING:
    import xarray

_FORM = Rollback.form


def write_rollback(rollback: Rollback, path: str | Path) -> None:
    """Publish a rollback as an HDF5 file: temporary name, fsync, rename.

    Raises:
        OSError: it could not be written; `path` then holds what it held before.
    """
    content = rollback_bytes(rollback)
    with publishing(Path(path)) as file:
        file.write(content)


def rollback_bytes(rollback: Rollback) -> bytes:
    """The whole HDF5 file of a rollback, as bytes."""
    with in_memory() as file:
        file.attrs.update(root_attributes(rollback.spec, rollback.findings, _FORM))
        write_group(file, _datasets(rollback))
        write_run(file, rollback.run)
        return image(file)


def to_xarray(rollback: Rollback) -> "xarray.Dataset":
    """The same dataset that `xarray.open_dataset(path, engine="h5netcdf")` reads from the file.

    Raises:
        MissingExtra: the package xarray is not installed.
    """
    return labelled(_datasets(rollback), root_attributes(rollback.spec, rollback.findings, _FORM))


def read_rollback(source: str | Path | IO[bytes]) -> Rollback:
    """Read a file that `write_rollback` wrote; `source` is its path, or the open file.

    Raises:
        SurfaceFileError: it does not exist, is not HDF5 or no rollback, has a newer format version
            or lacks a dataset; the message names the file and what is wrong.
    """
    with reading(source, _FORM) as file:
        return _read(file)


def _datasets(rollback: Rollback) -> list[Dataset]:
    groups = np.array(rollback.groups, dtype=object)
    about = "layer group of the fine-tuned backbone that is put back to the pre-trained one"
    far = "how far the group is put back"
    evaluated = "1 where a value was computed, 0 where it is missing"
    over = ("group",)
    return [
        Dataset("group", groups, over, described(about, "")),
        *(Dataset(n, rollback[n], over, described_number(n)) for n in ROLLBACK_NUMBERS),
        Dataset("distance", rollback.distance, over, described(far, "norm of delta1")),
        Dataset("evaluated", rollback.evaluated, over, described(evaluated, "1")),
    ]


def _read(file: ResultFile) -> Rollback:
    file.check_format()
    spec = cast(RollbackSpec, file.spec())  # its form says so
    shape = (spec.point_count,)
    rollback = Rollback(
        spec=spec,
        findings=file.findings(),
        numbers=np.stack([file.values(number, shape) for number in ROLLBACK_NUMBERS]),
        evaluated=file.values("evaluated", shape),
        run=file.run(),
    )
    names = tuple(name.decode() for name in file.values("group", shape))
    if names != rollback.groups:
        raise file.refusal("dataset group is not the groups that the spec asks for")
    return rollback
