"""Every error of the API becomes an `application/problem+json` document here, and only here."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bertscape.values import BertscapeError, InvalidInput, Problem, ProblemDocument, ProblemType

MEDIA_TYPE = "application/problem+json"
_SCHEMA = "#/components/schemas/"
_RETRY_AFTER_S = "5"
_KIND_OF_STATUS = {
    400: ProblemType.MALFORMED_REQUEST,
    404: ProblemType.NOT_FOUND,
    405: ProblemType.METHOD_NOT_ALLOWED,
    413: ProblemType.LIMIT_EXCEEDED,
}


def problem_response(
    problem: Problem, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The document; `status` is the kind's own, unless HTTP has a better one."""
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
        media_type=MEDIA_TYPE,
    )


def documented(*kinds: ProblemType, **others: ProblemType) -> dict[int | str, dict[str, Any]]:
    """What a route's `responses` says of the problems that it answers with.

    Args:
        kinds: each is answered with its own status.
        others: kinds that come with another status, named as in `http_413`.
    """
    by_status: defaultdict[int, list[ProblemType]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    for name, kind in others.items():
        by_status[int(name.removeprefix("http_"))].append(kind)
    schema = {"$ref": f"{_SCHEMA}{ProblemDocument.__name__}"}
    return {
        status: {
            "description": ", ".join(f"{kind.summary} (`{kind.value}`)" for kind in found),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }


def add_schema(document: dict[str, Any]) -> None:
    """Have the schema of problem documents in an OpenAPI document that refers to it."""
    schema = ProblemDocument.model_json_schema(ref_template=f"{_SCHEMA}{{model}}")
    found = schema.pop("$defs", {}).get(ProblemDocument.__name__, schema)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[ProblemDocument.__name__] = found


def install(app: FastAPI) -> None:
    """Have every error of the app answered by a problem document."""
    app.add_exception_handler(BertscapeError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_hang_up)
    app.add_exception_handler(Exception, _on_unknown)
    app.add_middleware(_LastAnswer)


class _LastAnswer:
    """ASGI middleware: a request that the end of the service cuts off is told so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            problem = Problem(ProblemType.UNAVAILABLE, "the service is stopping")
            await problem_response(problem)(scope, receive, send)


async def _on_hang_up(_: Request, __: Exception) -> Response:
    # Nobody reads it: the client went away before its body was complete.
    return problem_response(Problem(ProblemType.MALFORMED_REQUEST, "the body is incomplete"))


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
        ProblemType.NOT_FOUND: f"{what}: nothing exists at this address",
        ProblemType.METHOD_NOT_ALLOWED: f"{what}: the method is not allowed at this address",
        ProblemType.LIMIT_EXCEEDED: f"{what}: the body is larger than 1 MiB",
    }.get(kind, f"{what}: {error.detail}")
    return problem_response(Problem(kind, detail), error.status_code, error.headers)


async def _on_unknown(request: Request, _: Exception) -> Response:
    # The log says what happened, with its traceback; a stranger learns no more.
    detail = f"{request.method} {request.url.path}: internal error; see the service's log"
    return problem_response(Problem(ProblemType.INTERNAL, detail))
