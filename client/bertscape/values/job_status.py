"""The job object, and the estimate of a job: what a service answers, and what clients read."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from bertscape.values.errors import Problem, ProblemType, ServiceError, shortened
from bertscape.values.findings import SelfCheck
from bertscape.values.json_values import JsonModel
from bertscape.values.training_output import LogEntry, TrainingOutput

COMPLETED = "completed"
FINAL_STATES = frozenset({COMPLETED, "failed", "cancelled"})


class ProblemDocument(BaseModel):
    """A problem object (RFC 9457), as `Problem.to_json` writes it: without what is None."""

    type: str  # a URN, stable for each kind of problem
    title: str  # the same for every problem of that kind
    status: int  # the HTTP status
    detail: str  # a whole sentence: what, its value, what was expected
    key: str | None = None  # the key in the job spec, as in "data.train.path"
    value: str | None = None
    expected: str | None = None
    errors: "list[ProblemDocument] | None" = None  # if several keys are wrong, each of them


class _DocumentedAs:
    """Gives a field the JSON schema of a model that writes the same object."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(self._model.__pydantic_core_schema__)


# What was not measured, or does not apply, is left out of these.
_Problem = Annotated[
    Problem,
    BeforeValidator(lambda value: Problem.from_json(value) if _is_object(value) else value),
    PlainSerializer(lambda problem: problem.to_json()),
    _DocumentedAs(ProblemDocument),
]
# A service of another version may check something else: nothing of it is refused.
_SelfCheck = Annotated[Mapping[str, Any], _DocumentedAs(SelfCheck)]
_LogEntry = Annotated[LogEntry, PlainSerializer(lambda entry: entry.to_json())]
_Output = Annotated[
    TrainingOutput,
    BeforeValidator(lambda value: TrainingOutput.from_json(value) if _is_object(value) else value),
    PlainSerializer(lambda output: output.to_json()),
]


class _Open(JsonModel):
    """A value of a service that may be newer: members that are not known here are kept."""

    model_config = ConfigDict(extra="allow")


_Answer = TypeVar("_Answer", bound=_Open)


class JobStage(_Open):
    """What is done for a job while it is prepared, or trains."""

    stage: str  # in words
    done: int = 0
    total: int = 0  # 0 if it is not known
    # Of a training: the last of each number that was measured. Left out if nothing was.
    latest: _LogEntry | None = Field(default=None, exclude_if=lambda latest: latest is None)

    def __str__(self) -> str:
        """For example "tokenizing 3/10"."""
        return f"{self.stage} {self.done}/{self.total}" if self.total else self.stage


class SplitEstimate(_Open):
    """How large a split is."""

    examples: int | None = None  # None: only the job's preparing can count them
    tokens: int | None = None  # without padding
    measured_examples: int = 0  # so many were tokenized; if not all, the tokens are extrapolated


class JobEstimate(_Open):
    """What a job would take. What is None has its reason in `unknown`."""

    kind: str
    points: int
    train: SplitEstimate
    eval: SplitEstimate
    flops: float | None = None  # of the whole job, preparing included
    seconds: float | None = None  # on the workers that are connected, if they do nothing else
    preparing_seconds: float | None = None  # of these, before the first point
    workers: int = 0  # connected; a training takes one of them
    device: str | None = None  # theirs
    memory_per_worker: int | None = None  # bytes
    object_store: int | None = None  # bytes on each node
    disk: int | None = None  # bytes of the result file, or of the checkpoints of a training
    unknown: Mapping[str, str] = {}  # why, by the member or "tokens"

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read what a service answers.

        Raises:
            ServiceError: it is no estimate.
        """
        return _read(cls, members, "an estimate")


class EstimateKept(_Open):
    """What a job was estimated to take when it was submitted, and what it took."""

    seconds: float | None = None  # None if it could not be told then
    taken: float | None = None  # from the first attempt to the last point; None until it is done


class JobStatus(_Open):
    """One job object: what the service says about a job at one moment."""

    id: str
    name: str | None = None
    kind: str = ""
    state: str  # queued | preparing | running | completed | failed | cancelled
    created: str | None = None  # RFC 3339, in UTC
    updated: str | None = None
    points_total: int = 0
    points_done: int = 0
    tiles_total: int = 0
    tiles_done: int = 0
    eta_seconds: float | None = None  # until the last point; None if it cannot be told
    workers: int = 0  # that evaluate it now
    progress: JobStage | None = None
    error: _Problem | None = None  # why it failed
    spec: Mapping[str, Any] = {}
    self_checks: tuple[_SelfCheck, ...] = ()
    warnings: tuple[str, ...] = ()  # what preparing it found odd; empty until it is prepared
    output: _Output | None = None  # of a fine-tuning that is done
    estimate: EstimateKept | None = None  # None until it is made

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES

    @property
    def stage(self) -> str | None:
        """What is being done while it is prepared, or trains: "tokenizing 3/10"."""
        return None if self.progress is None else str(self.progress)

    @property
    def steps(self) -> tuple[int, int] | None:
        """Steps of the optimizer while it trains: done, in all."""
        if self.progress is None or self.state != "running":
            return None
        return self.progress.done, self.progress.total

    @property
    def latest(self) -> LogEntry | None:
        """While it trains: the last of each number that was measured."""
        return None if self.progress is None else self.progress.latest

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Read a job object.

        Raises:
            ServiceError: it is no job object.
        """
        return _read(cls, members, "a job object")


def _read(kind: type[_Answer], members: Mapping[str, Any], expected: str) -> _Answer:
    try:
        return kind.model_validate(members)
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        detail = f"the service answered with {shortened(members)}; expected {expected}"
        raise ServiceError(Problem(ProblemType.INTERNAL, detail)) from error


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)
