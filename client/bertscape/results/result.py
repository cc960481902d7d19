"""The results of jobs, whatever their form: put together, written, read, drawn.

A further form has its own modules, and an entry in `FORMS`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from bertscape.results.result_file import (
    Contents,
    ResultFile,
    Source,
    file_bytes,
    form_of,
    labelled,
    reading,
)
from bertscape.results.rollback import Rollback, assemble_rollback
from bertscape.results.rollback_file import rollback_contents, rollback_from
from bertscape.results.run import Result, Run
from bertscape.results.surface import Surface, assemble
from bertscape.results.surface_file import surface_contents, surface_from
from bertscape.spec import JobSpec
from bertscape.values import NUMBERS, Findings, Pins, publishing

if TYPE_CHECKING:  # an optional extra of the client
    import xarray

    from bertscape.figures import Figure


@dataclass(frozen=True, slots=True)
class Form:
    """What can be done with the results of one form; each function takes its own type of result."""

    assemble: Callable[..., Result]  # of spec, findings, tile_points, done, run
    contents: Callable[[Any], Contents]  # of its file
    read: Callable[[ResultFile], Result]
    plot: Callable[..., "Figure"]
    values: tuple[str, ...] = ()  # what `plot` may be asked for by `values`, one panel each


def _plot_surface(surface: Any, **options: Any) -> "Figure":
    from bertscape.figures import plot_surface

    return plot_surface(surface, **options)


def _plot_rollback(rollback: Any) -> "Figure":
    from bertscape.figures import plot_rollback

    return plot_rollback(rollback)


FORMS: dict[str, Form] = {
    "surface": Form(
        assemble,
        surface_contents,
        surface_from,
        _plot_surface,
        tuple(name for name in NUMBERS if not name.endswith("_stderr")),
    ),
    "rollback": Form(
        assemble_rollback,
        rollback_contents,
        rollback_from,
        _plot_rollback,
    ),
}


def form(result: Result) -> Form:
    """What can be done with this result."""
    return FORMS[result.form]


def assemble_result(
    spec: JobSpec,
    findings: Pins,
    tile_points: int,
    done: Iterable[tuple[int, NDArray[np.float64]]],
    run: Run,
) -> Result:
    """Build a job's result from the tiles that are done; arguments as those of `assemble`.

    Raises:
        TypeError: a job of this kind leaves no file.
    """
    if spec.result_form is None:
        raise TypeError(f"a job of kind {spec.kind!r} has no result file")
    made = FORMS[spec.result_form].assemble
    return made(spec, cast(Findings, findings), tile_points, done, run)


def result_bytes(result: Result) -> bytes:
    """The whole HDF5 file of a result."""
    return file_bytes(form(result).contents(result), result.run)


def to_xarray(result: Result) -> "xarray.Dataset":
    """The same dataset that `xarray.open_dataset(path, engine="h5netcdf")` reads from the file.

    Raises:
        MissingExtra: the package xarray is not installed.
    """
    return labelled(form(result).contents(result))


def write_result(result: Result, path: str | Path) -> None:
    """Publish a result as an HDF5 file: temporary name, fsync, rename.

    Raises:
        OSError: it could not be written; `path` then holds what it held before.
    """
    content = result_bytes(result)
    with publishing(Path(path)) as file:
        file.write(content)


write_surface = write_rollback = write_result  # by the name of what one holds


def read_result(source: Source) -> Result:
    """Read a file that the service, `bertscape run` or `save` wrote; its path, or the open file.

    Raises:
        SurfaceFileError: it does not exist, or its form is not known here.
    """
    claimed = form_of(source)
    return read_as(claimed if claimed in FORMS else Surface.form, source)


def read_surface(source: Source) -> Surface:
    """`read_result`, of a surface or a curve.

    Raises:
        SurfaceFileError: it is none; the message names the file and what is wrong.
    """
    return cast(Surface, read_as(Surface.form, source))


def read_rollback(source: Source) -> Rollback:
    """`read_result`, of a rollback.

    Raises:
        SurfaceFileError: it is none; the message names the file and what is wrong.
    """
    return cast(Rollback, read_as(Rollback.form, source))


def read_as(name: str, source: Source) -> Result:
    """`read_result`, of the form of this name.

    Raises:
        SurfaceFileError: it is none; the message names the file and what is wrong.
    """
    with reading(source, name) as file:
        return FORMS[name].read(file)
