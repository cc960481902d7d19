"""The results of jobs, whatever their form: put together, written, read, drawn.

A further form has its own modules, and an entry in `FORMS`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from bertscape.results import rollback_file, surface_file
from bertscape.results.result_file import form_of
from bertscape.results.rollback import assemble_rollback
from bertscape.results.run import Result, Run
from bertscape.results.surface import assemble
from bertscape.spec import JobSpec
from bertscape.values import NUMBERS, Findings, Pins, publishing

if TYPE_CHECKING:  # an optional extra of the client
    from bertscape.figures import Figure

Source = str | Path | IO[bytes]


@dataclass(frozen=True, slots=True)
class Form:
    """What can be done with the results of one form; each function takes its own type of result."""

    assemble: Callable[..., Result]  # of spec, findings, tile_points, done, run
    to_bytes: Callable[[Any], bytes]  # the whole HDF5 file
    read: Callable[[Source], Result]
    to_xarray: Callable[[Any], Any]  # an xarray.Dataset
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
        surface_file.surface_bytes,
        surface_file.read_surface,
        surface_file.to_xarray,
        _plot_surface,
        tuple(name for name in NUMBERS if not name.endswith("_stderr")),
    ),
    "rollback": Form(
        assemble_rollback,
        rollback_file.rollback_bytes,
        rollback_file.read_rollback,
        rollback_file.to_xarray,
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
    return form(result).to_bytes(result)


def write_result(result: Result, path: str | Path) -> None:
    """Publish a result as an HDF5 file: temporary name, fsync, rename.

    Raises:
        OSError: it could not be written; `path` then holds what it held before.
    """
    content = result_bytes(result)
    with publishing(Path(path)) as file:
        file.write(content)


def read_result(source: Source) -> Result:
    """Read a file that the service, `bertscape run` or `save` wrote; its path, or the open file.

    Raises:
        SurfaceFileError: it does not exist, or its form is not known here.
    """
    return FORMS.get(form_of(source) or "", FORMS["surface"]).read(source)
