"""The result of a job of any kind that ends in a file: a surface, or a rollback."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bertscape.results.result_file import form_of
from bertscape.results.rollback import Rollback, assemble_rollback
from bertscape.results.rollback_file import read_rollback, rollback_bytes
from bertscape.results.run import Run
from bertscape.results.surface import Surface, assemble
from bertscape.results.surface_file import read_surface, surface_bytes
from bertscape.spec import JobSpec, LandscapeSpec, RollbackSpec
from bertscape.values import (
    Findings,
    Pins,
)

Result = Surface | Rollback


def assemble_result(
    spec: JobSpec,
    findings: Pins,
    tile_points: int,
    done: Iterable[tuple[int, NDArray[np.float64]]],
    run: Run,
) -> Result:
    """Build a job's result from the tiles that are done; arguments as those of `assemble`.

    Raises:
        TypeError: a job of this kind has no such result.
    """
    match spec, findings:
        case LandscapeSpec(), Findings():
            return assemble(spec, findings, tile_points, done, run)
        case RollbackSpec(), Findings():
            return assemble_rollback(spec, findings, tile_points, done, run)
    raise TypeError(f"a job of kind {spec.kind!r}")


def result_bytes(result: Result) -> bytes:
    """The whole HDF5 file of a result."""
    return surface_bytes(result) if isinstance(result, Surface) else rollback_bytes(result)


def read_result(source: str | Path | IO[bytes]) -> Result:
    """Read a file that the service, `bertscape run` or `save` wrote; its path, or the open file.

    Raises:
        SurfaceFileError: it is not there, or is neither a surface nor a rollback.
    """
    if form_of(source) == "rollback":
        return read_rollback(source)
    return read_surface(source)
