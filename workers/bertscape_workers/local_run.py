"""`run`: a job in this process, without a service and without Ray."""

import sys
from importlib.metadata import version

import numpy as np

from bertscape.grid import coarse_to_fine
from bertscape.spec import JobSpec, LandscapeSpec, Limits
from bertscape.surface import Run, Surface, assemble
from bertscape_workers.admission import admit
from bertscape_workers.evaluators import evaluator_for
from bertscape_workers.prepare import ProgressCall, prepare

_VERSIONED = ("bertscape", "torch", "transformers", "numpy")
EVALUATING = "evaluating"  # the stage of the grid's points


def run_job(
    spec: JobSpec,
    progress: ProgressCall | None = None,
    *,
    threads: int = 1,
    device: str | None = None,
) -> Surface:
    """Prepare a job and evaluate every point of its grid, coarse to fine.

    Args:
        spec: with absolute paths; bound by no root.
        progress: told of each stage: its name, how much is done, of how much.
        threads: CPU threads; more of them change the last bits.
        device: as torch names it; default: the GPU where there is one.

    Raises:
        InvalidInput: the spec asks for too much, or its inputs are wrong.
    """
    if not isinstance(spec, LandscapeSpec):
        raise TypeError(f"a job of kind {spec.kind!r}")
    spec = admit(spec, Limits())
    prepared = prepare(spec, device=device, threads=threads, progress=progress)
    evaluator = evaluator_for(prepared.inputs, device)
    grid, numbers = spec.points, []
    for done, (alpha, beta) in enumerate(grid.coordinates(coarse_to_fine(grid).tolist())):
        if progress is not None:
            progress(EVALUATING, done, grid.size)
        numbers.append(evaluator.evaluate(float(alpha), float(beta)))
    if progress is not None:
        progress(EVALUATING, grid.size, grid.size)
    run = Run(workers=1, threads=threads, versions=_versions())
    return assemble(spec, prepared.findings, grid.size, [(0, np.stack(numbers))], run)


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _VERSIONED}
    return {"python": sys.version.split()[0], **found}
