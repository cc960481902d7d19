"""By what rates are kept: jobs that agree in it are equally fast."""

from bertscape.spec import JobSpec
from bertscape_service.journal import RateKey, Stage


def rate_key(spec: JobSpec, model: str, device: str, threads: int) -> RateKey:
    """The key of a job.

    Args:
        spec: of the job.
        model: family and sizes, as the costs name them.
        device: the workers' model name.
        threads: of each worker.
    """
    return RateKey(device, threads, _precision(spec), model)


def main_stage(spec: JobSpec) -> Stage:
    """What is done once the job is prepared."""
    return "steps" if spec.trains else "points"


def _precision(spec: JobSpec) -> str:
    """As asked for: what `auto` of a training comes to follows from the device alone."""
    asked = str(getattr(spec, "precision", "auto"))
    return "fp32" if asked == "auto" and not spec.trains else asked
