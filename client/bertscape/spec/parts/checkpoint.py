"""Where a checkpoint comes from: a folder, the hub, or another job's output."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from bertscape.spec.parts.base import Values

FINETUNED = "finetuned"  # in {toward: finetuned}: θ1 itself, not a folder of that name


class Hub(Values):
    """A checkpoint on the hub, by its id."""

    hub: str = Field(min_length=1)
    revision: str | None = None  # a branch, a tag or a commit; the commit found is recorded


class JobOutput(Values):
    """A checkpoint that a completed `finetune` job of the same service left behind.

    The service puts its folder in place of this when the job is submitted. Without a step it
    is the first checkpoint where θ0 is asked for, all of them in a list, and else the last.
    """

    job: str = Field(min_length=1)
    checkpoint: int | None = Field(default=None, ge=0)  # its step


FOLDER_TAG, HUB_TAG, JOB_TAG = "<folder>", "<hub>", "<job>"
TAGS = (FOLDER_TAG, HUB_TAG, JOB_TAG)  # pydantic has them in its paths; no user wrote them


def _kind(value: object) -> str | None:
    match value:
        case str() if value.strip():
            return FOLDER_TAG
        case JobOutput() | {"job": _}:
            return JOB_TAG
        case Mapping() | Hub():
            return HUB_TAG
    return None


Checkpoint = Annotated[
    Annotated[str, Tag(FOLDER_TAG)]
    | Annotated[Hub, Tag(HUB_TAG)]
    | Annotated[JobOutput, Tag(JOB_TAG)],
    Discriminator(
        _kind,
        custom_error_type="expected",
        custom_error_message="a folder, {hub: id, revision: name} or {job: id}",
    ),
]


def _as_list(value: object) -> object:
    """A list as it stands, and `{job: id}` as the list of all that the job left behind."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, JobOutput) or _is_job(value) else value


def _is_job(value: object) -> bool:
    return isinstance(value, Mapping) and "job" in value


Checkpoints = Annotated[tuple[Checkpoint, ...], BeforeValidator(_as_list)]


def plain(checkpoint: "str | Hub | JobOutput") -> Any:
    """As JSON has it."""
    return checkpoint if isinstance(checkpoint, str) else checkpoint.model_dump(exclude_none=True)


class Model(Values):
    """θ0, θ1 with its head, and the tokenizer."""

    pretrained: Checkpoint  # θ0
    finetuned: Checkpoint  # θ1, and the head
    tokenizer: Checkpoint | None = None  # default: finetuned's, else pretrained's
