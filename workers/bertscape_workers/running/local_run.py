"""`run`: a job in this process, without a service and without Ray."""

import sys
from importlib.metadata import version

from bertscape.results import Result, Run, assemble_result
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
    numbers, _ = runner.run(order, TileWatch(point=lambda done: tell(EVALUATING, done, count)))
    tell(EVALUATING, count, count)
    run = Run(workers=1, threads=threads, versions=_versions())
    return assemble_result(spec, prepared.findings, count, [(tile.index, numbers)], run)


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _VERSIONED}
    return {"python": sys.version.split()[0], **found}
