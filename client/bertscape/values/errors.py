"""What can go wrong, as one tree and one table of stable problem types.

::

    BertscapeError
    ├── InvalidInput         the user's input is wrong: exit status 2, or an HTTP 4xx
    ├── MissingExtra         a command needs an extra that is not installed: exit status 2
    ├── SurfaceFileError     a file is no surface or rollback of a format version known here
    ├── JobFailed            a job ended as failed or cancelled: exit status 1
    └── ServiceError         the service answered with a problem document
        └── ServiceUnreachable   no answer came, after all retries

Every error that reaches a user carries a `Problem`: the RFC 9457 object that the service sends
as `application/problem+json`, that a failed job holds under `error`, and that the command line
prints as one line.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_URN = "urn:bertscape:problem:"


class ProblemType(enum.StrEnum):
    """The stable kinds of problem; `uri` is what travels as the `type` member."""

    UNKNOWN_KEY = "unknown-key"
    INVALID_VALUE = "invalid-value"
    LIMIT_EXCEEDED = "limit-exceeded"
    MALFORMED_REQUEST = "malformed-request"
    PATH_NOT_FOUND = "path-not-found"
    PATH_NOT_ALLOWED = "path-not-allowed"
    INVALID_CHECKPOINT = "invalid-checkpoint"
    CHECKPOINT_MISMATCH = "checkpoint-mismatch"
    INVALID_DATA = "invalid-data"
    INPUT_CHANGED = "input-changed"
    DOES_NOT_FIT = "does-not-fit"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    JOB_NOT_FOUND = "job-not-found"
    SURFACE_NOT_READY = "surface-not-ready"
    JOB_NOT_ACTIVE = "job-not-active"
    UNAUTHORIZED = "unauthorized"
    HOST_NOT_ALLOWED = "host-not-allowed"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    PREPARING_FAILED = "preparing-failed"
    TILE_FAILED = "tile-failed"
    IN_USE = "in-use"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    @property
    def uri(self) -> str:
        """The `type` member of the problem object."""
        return _URN + self.value

    @property
    def status(self) -> int:
        """The HTTP status that goes with this kind."""
        return _STATUS[self]

    @property
    def summary(self) -> str:
        """One line for people, the same for every problem of this kind."""
        return _TITLE[self]


_STATUS = {
    ProblemType.UNKNOWN_KEY: 422,
    ProblemType.INVALID_VALUE: 422,
    ProblemType.LIMIT_EXCEEDED: 422,
    ProblemType.MALFORMED_REQUEST: 400,
    ProblemType.PATH_NOT_FOUND: 422,
    ProblemType.PATH_NOT_ALLOWED: 403,
    ProblemType.INVALID_CHECKPOINT: 422,
    ProblemType.CHECKPOINT_MISMATCH: 422,
    ProblemType.INVALID_DATA: 422,
    ProblemType.INPUT_CHANGED: 409,
    ProblemType.DOES_NOT_FIT: 422,
    ProblemType.IDEMPOTENCY_CONFLICT: 422,
    ProblemType.JOB_NOT_FOUND: 404,
    ProblemType.SURFACE_NOT_READY: 409,
    ProblemType.JOB_NOT_ACTIVE: 409,
    ProblemType.UNAUTHORIZED: 401,
    ProblemType.HOST_NOT_ALLOWED: 421,
    ProblemType.NOT_FOUND: 404,
    ProblemType.METHOD_NOT_ALLOWED: 405,
    ProblemType.PREPARING_FAILED: 500,
    ProblemType.TILE_FAILED: 500,
    ProblemType.IN_USE: 409,
    ProblemType.UNAVAILABLE: 503,
    ProblemType.INTERNAL: 500,
}

_TITLE = {
    ProblemType.UNKNOWN_KEY: "Unknown key",
    ProblemType.INVALID_VALUE: "Invalid value",
    ProblemType.LIMIT_EXCEEDED: "Limit exceeded",
    ProblemType.MALFORMED_REQUEST: "Malformed request",
    ProblemType.PATH_NOT_FOUND: "Path not found",
    ProblemType.PATH_NOT_ALLOWED: "Path outside the allowed roots",
    ProblemType.INVALID_CHECKPOINT: "Invalid checkpoint",
    ProblemType.CHECKPOINT_MISMATCH: "Checkpoints do not match",
    ProblemType.INVALID_DATA: "Invalid data",
    ProblemType.INPUT_CHANGED: "An input changed since the job began",
    ProblemType.DOES_NOT_FIT: "The job does not fit into memory",
    ProblemType.IDEMPOTENCY_CONFLICT: "Idempotency key used for another body",
    ProblemType.JOB_NOT_FOUND: "No such job",
    ProblemType.SURFACE_NOT_READY: "No tile is done yet",
    ProblemType.JOB_NOT_ACTIVE: "The job has already ended",
    ProblemType.UNAUTHORIZED: "Not authorized",
    ProblemType.HOST_NOT_ALLOWED: "Host not allowed",
    ProblemType.NOT_FOUND: "No such resource",
    ProblemType.METHOD_NOT_ALLOWED: "Method not allowed",
    ProblemType.PREPARING_FAILED: "Preparing failed",
    ProblemType.TILE_FAILED: "A tile failed",
    ProblemType.IN_USE: "In use",
    ProblemType.UNAVAILABLE: "Unavailable",
    ProblemType.INTERNAL: "Internal error",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, as RFC 9457 has it, with the members that name a wrong input."""

    type: ProblemType
    detail: str  # a whole sentence: what, its value, what was expected
    key: str | None = None  # the path of the key in the job spec, as in "data.train.path"
    value: str | None = None  # the offending value, as text
    expected: str | None = None  # what would have been right
    errors: tuple["Problem", ...] = ()  # if several keys are wrong, each of them

    def to_json(self) -> dict[str, Any]:
        """The problem object, ready for `json.dumps`."""
        members: dict[str, Any] = {
            "type": self.type.uri,
            "title": self.type.summary,
            "status": self.type.status,
            "detail": self.detail,
        }
        for name in ("key", "value", "expected"):
            if getattr(self, name) is not None:
                members[name] = getattr(self, name)
        if self.errors:
            members["errors"] = [error.to_json() for error in self.errors]
        return members

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; a type that is not known here reads as `internal`."""
        slug = str(members.get("type", "")).removeprefix(_URN)
        known = slug in set(ProblemType)
        return cls(
            type=ProblemType(slug) if known else ProblemType.INTERNAL,
            detail=str(members.get("detail") or members.get("title") or "no detail was given"),
            key=members.get("key"),
            value=members.get("value"),
            expected=members.get("expected"),
            errors=tuple(Problem.from_json(error) for error in members.get("errors", ())),
        )

    def __str__(self) -> str:
        return self.detail


class BertscapeError(Exception):
    """Any error that bertscape raises on purpose."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)  # as args, so that it survives pickling between processes
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


class InvalidInput(BertscapeError):
    """The user's input is wrong; `problem` names the key, the value and what was expected."""

    @classmethod
    def of(
        cls, kind: ProblemType, key: str | None, value: object, expected: str, found: str = ""
    ) -> Self:
        """Build the message from its parts.

        Args:
            kind: the stable kind of problem.
            key: the key in the job spec or the command's option, or None if there is none.
            value: the offending value; its `repr` stands in the message, shortened.
            expected: what would have been right, as the end of "expected …".
            found: what is wrong with the value, if the value alone does not tell.
        """
        text = shortened(value)
        where = f"{key}: " if key else ""
        reason = f" {found}" if found else ""
        detail = f"{where}{text}{reason}; expected {expected}"
        return cls(Problem(kind, detail, key=key, value=text, expected=expected))


class MissingExtra(BertscapeError):
    """A command needs packages that are not installed; the message is the install command."""


class SurfaceFileError(BertscapeError):
    """A file is not the surface or the rollback asked for, or of an unknown format version."""


class JobFailed(BertscapeError):
    """A job ended as failed or cancelled; what it had computed stays downloadable."""

    def __init__(self, problem: Problem, job_id: str = "", state: str = "failed") -> None:
        super().__init__(problem)
        self.args = (problem, job_id, state)
        self.job_id = job_id
        self.state = state


class ServiceError(BertscapeError):
    """The service answered with a problem document; `status` is the HTTP status."""

    def __init__(self, problem: Problem, status: int = 0) -> None:
        super().__init__(problem)
        self.args = (problem, status)
        self.status = status


class ServiceUnreachable(ServiceError):
    """No answer came from the service, after all retries."""


def one_line(text: object) -> str:
    """`str(text)` with every run of blanks and line breaks as one blank."""
    return " ".join(str(text).split())


def brief(error: object, length: int = 200) -> str:
    """`one_line`, cut between two words so that a message stays a line.

    >>> brief("the disk is full", 12)
    'the disk is…'
    """
    text = one_line(error)
    if len(text) <= length:
        return text
    head = text[:length]
    return (head.rpartition(" ")[0] or head[:-1]) + "…"


def shortened(value: object, length: int = 200) -> str:
    """`repr(value)`, cut to `length` characters so that a message stays a line."""
    text = value if isinstance(value, str) else repr(value)
    text = repr(text) if isinstance(value, str) else text
    return text if len(text) <= length else text[: length - 1] + "…"
