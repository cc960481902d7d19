"""What a worker does for each kind of job: prepare it, and do its points."""

from bertscape.spec import JobSpec, LandscapeSpec
from bertscape_workers.memory import MemoryLimits
from bertscape_workers.prepare import Prepared, ProgressCall, prepare


def prepare_job(
    spec: JobSpec,
    *,
    device: str | None = None,
    threads: int = 1,
    progress: ProgressCall | None = None,
    limits: MemoryLimits | None = None,
) -> Prepared:
    """Prepare a job of any kind; arguments and errors are those of `prepare`."""
    if isinstance(spec, LandscapeSpec):
        return prepare(spec, device=device, threads=threads, progress=progress, limits=limits)
    raise TypeError(f"a job of kind {spec.kind!r}")
