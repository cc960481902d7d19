"""`run`: a job in this process, without a service and without Ray."""

import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from bertscape.results import Result, Run, assemble_result, tiles_to_follow
from bertscape.spec import JobSpec, Limits
from bertscape.values import Progress
from bertscape_workers.admission import admit
from bertscape_workers.jobs import TileOrder, TileWatch, prepare_job, runner_of

_VERSIONED = ("bertscape", "torch", "transformers", "numpy")
EVALUATING = "evaluating"  # the stage of the job's points


def run_job(
    spec: JobSpec,
    progress: Progress | None = None,
    *,
    threads: int = 1,
    device: str | None = None,
) -> Result:
    """Prepare a job and evaluate every point in order; coarse to fine on a grid.

    Args:
        spec: with absolute paths; bound by no root.
        progress: told of each stage: its name, how much is done, of how much.
        threads: CPU threads; more of them change the last bits.
        device: as torch names it; default: the GPU if there is one.

    Raises:
        InvalidInput: the spec asks for too much, or its inputs are wrong.
    """
    spec = admit(spec, Limits())
    tell = progress or _silent
    prepared = prepare_job(spec, device=device, threads=threads, progress=tell)
    runner = runner_of(spec.kind, prepared.inputs, device)
    count = spec.point_count
    (tile,) = spec.tiles(count)
    order = TileOrder(spec.coordinates(tile.points))
    watch = TileWatch(point=lambda done: tell(EVALUATING, done, count))
    run = Run(workers=1, threads=threads, versions=_versions())
    done: list[tuple[int, NDArray[np.float64]]] = []
    while True:  # one round, or several
        numbers, _ = runner.run(replace(order, round=len(done)), watch)
        tell(EVALUATING, count, count)
        done.append((len(done), numbers))
        if not tiles_to_follow(spec, prepared.findings, count, done):
            return assemble_result(spec, prepared.findings, count, done, run)


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _VERSIONED}
    return {"python": sys.version.split()[0], **found}
