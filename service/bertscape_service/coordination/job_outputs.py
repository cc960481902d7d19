"""`{job: ID}` in a spec: what an earlier fine-tuning left behind, in its place."""

from collections.abc import Callable

from bertscape.spec import Checkpoint, JobOutput, JobSpec, with_sources
from bertscape.values import InvalidInput, KeptCheckpoint, ProblemType
from bertscape_service.journal import JobRow
from bertscape_service.scheduling import JobState

_START = "model.pretrained"  # the one place where θ0 is asked for

JobOf = Callable[[str], JobRow | None]


def with_outputs(spec: JobSpec, job_of: JobOf) -> JobSpec:
    """The same spec with the folders of jobs' outputs in place of the jobs.

    Args:
        spec: any job.
        job_of: finds a job of this service by its id.

    Raises:
        InvalidInput: what is named is no completed fine-tuning, or has no such step.
    """

    def checkpoint(key: str, value: Checkpoint) -> Checkpoint | tuple[Checkpoint, ...]:
        return _folders(key, value, job_of) if isinstance(value, JobOutput) else value

    return with_sources(spec, checkpoint)


def _folders(key: str, value: JobOutput, job_of: JobOf) -> str | tuple[str, ...]:
    kept = _kept(key, value, job_of)
    step = value.checkpoint
    if step is not None:
        return _at(key, kept, step).path
    if key.endswith("]"):  # one of a list: all that the job left behind
        return tuple(one.path for one in kept)
    return kept[0 if key == _START else -1].path


def _kept(key: str, value: JobOutput, job_of: JobOf) -> tuple[KeptCheckpoint, ...]:
    row = job_of(value.job)
    if row is None:
        raise _refused(key, value, "there is no such job")
    if not row.spec.trains:
        raise _refused(key, value, f"is a job of kind {row.spec.kind}")
    if row.state is not JobState.COMPLETED or row.output is None:
        raise _refused(key, value, f"is {row.state.value}")
    return row.output.checkpoints


def _at(key: str, kept: tuple[KeptCheckpoint, ...], step: int) -> KeptCheckpoint:
    found = next((one for one in kept if one.step == step), None)
    if found is None:
        steps = ", ".join(str(one.step) for one in kept)
        expected = f"a step that the job has kept: {steps}"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, f"{key}.checkpoint", step, expected)
    return found


def _refused(key: str, value: JobOutput, found: str) -> InvalidInput:
    expected = "the id of a completed finetune job of this service"
    return InvalidInput.of(ProblemType.INVALID_VALUE, f"{key}.job", value.job, expected, found)
