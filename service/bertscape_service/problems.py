"""Every error of the API becomes an `application/problem+json` document here, and only here."""

import json
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bertscape.errors import BertscapeError, InvalidInput, Problem, ProblemType

_RETRY_AFTER_S = "5"
_KIND_OF_STATUS = {
    400: ProblemType.MALFORMED_REQUEST,
    404: ProblemType.NOT_FOUND,
    405: ProblemType.METHOD_NOT_ALLOWED,
    413: ProblemType.LIMIT_EXCEEDED,
}


class Refused(BertscapeError):
    """A request that cannot be done, for a reason that `problem` gives."""

    @classmethod
    def of(cls, kind: ProblemType, detail: str) -> "Refused":
        """A refusal of this kind."""
        return cls(Problem(kind, detail))


def problem_response(
    problem: Problem, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The document; `status` is the kind's own but where HTTP has a better one."""
    members = problem.to_json()
    members["status"] = status or problem.type.status
    added = dict(headers or {})
    if members["status"] == ProblemType.UNAVAILABLE.status:
        added.setdefault("Retry-After", _RETRY_AFTER_S)
    if problem.type is ProblemType.UNAUTHORIZED:
        added.setdefault("WWW-Authenticate", "Bearer")
    return Response(
        json.dumps(members),
        status_code=members["status"],
        headers=added,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Have every error of the app answered by a problem document."""
    app.add_exception_handler(BertscapeError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_unknown)


async def _on_known(_: Request, error: Exception) -> Response:
    assert isinstance(error, BertscapeError)  # noqa: S101  what it is installed for
    return problem_response(error.problem)


async def _on_invalid_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  what it is installed for
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][1:]) or None
    expected = str(first["msg"]).removeprefix("Input should be ")
    wrong = InvalidInput.of(ProblemType.INVALID_VALUE, key, first.get("input"), expected)
    return problem_response(wrong.problem)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  what it is installed for
    kind = _KIND_OF_STATUS.get(error.status_code, ProblemType.INTERNAL)
    what = f"{request.method} {request.url.path}"
    detail = {
        ProblemType.NOT_FOUND: f"{what}: there is nothing at this address",
        ProblemType.METHOD_NOT_ALLOWED: f"{what}: this address does not know the method",
        ProblemType.LIMIT_EXCEEDED: f"{what}: the body is larger than 1 MiB",
    }.get(kind, f"{what}: {error.detail}")
    return problem_response(Problem(kind, detail), error.status_code, error.headers)


async def _on_unknown(request: Request, _: Exception) -> Response:
    # What happened stands in the log, with its traceback; a stranger is told no more than that.
    detail = f"{request.method} {request.url.path}: an internal error; the service's log has more"
    return problem_response(Problem(ProblemType.INTERNAL, detail))
