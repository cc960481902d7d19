"""A job whose checkpoints another job has yet to make, with a checkpoint of the same shapes."""

from collections.abc import Sequence
from pathlib import Path

from bertscape.spec import (
    Checkpoint,
    FinetuneModel,
    FinetuneSpec,
    JobOutput,
    JobSpec,
    Limits,
    with_sources,
)
from bertscape_workers.admission import Admitted, admitted


def admitted_with(
    spec: JobSpec, stand_in: str, limits: Limits, roots: Sequence[Path]
) -> Admitted[JobSpec]:
    """The job as if every `{job: …}` in it were this checkpoint.

    The checkpoint need be no classifier: it is checked as the start of a training on the job's
    data, and the job itself not further.

    Args:
        spec: with absolute paths.
        stand_in: a checkpoint's folder, absolute.
        limits: what one job may ask for.
        roots: the folders that its files must lie in, symbolic links resolved.

    Raises:
        InvalidInput: the data or the checkpoint is wrong, or the job asks for too much.
    """
    limits.check(spec)
    start = FinetuneSpec(kind="finetune", model=FinetuneModel(pretrained=stand_in), data=spec.data)
    found = admitted(start, limits, roots)

    def checkpoint(_: str, value: Checkpoint) -> Checkpoint:
        return found.spec.model.pretrained if isinstance(value, JobOutput) else value

    whole = with_sources(spec, checkpoint).with_parts(data=found.spec.data)
    return Admitted(whole, found.memory, found.model, found.tokenizer)
