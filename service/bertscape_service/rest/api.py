"""The REST interface: small handlers that say who is asked what. Errors are answered elsewhere."""

import asyncio
import importlib.metadata
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, StreamingResponse

from bertscape.spec import KINDS
from bertscape.values import (
    BertscapeError,
    InvalidInput,
    JobEstimate,
    JobStatus,
    Problem,
    ProblemType,
)
from bertscape_service.configuration import Settings
from bertscape_service.coordination import read_body
from bertscape_service.rest import downloads, problems
from bertscape_service.rest.authorization import Gate
from bertscape_service.rest.interfaces import Jobs, Journal, Results, Service
from bertscape_service.rest.models import (
    ClusterStatus,
    Health,
    JobsPage,
    Readiness,
    WorkersStatus,
    WorkerStatus,
)

MAX_BODY_BYTES = 1 << 20
KEEP_ALIVE_S = 15.0  # between two comments on a silent stream of events
_POLL_AGAIN_S = "1"
_KEY_LENGTH = 255
# Each schema's definitions go with it: they may differ by kind.
_SPEC_SCHEMA = {"oneOf": [kind.model_json_schema() for kind in dict.fromkeys(KINDS.values())]}
_SPEC_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _SPEC_SCHEMA}},
    }
}


def create_app(
    service: Service, settings: Settings, *, keep_alive_s: float = KEEP_ALIVE_S
) -> FastAPI:
    """The app of one service, which its lifespan starts and stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title="bertscape",
        version=importlib.metadata.version("bertscape"),
        lifespan=lifespan,
        docs_url=None,  # both pages would load scripts of another site
        redoc_url=None,
    )
    app.state.service = service
    app.state.keep_alive_s = keep_alive_s
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # as its documentation has it
    problems.install(app)
    app.add_middleware(Gate, settings=settings)
    app.include_router(_router)
    app.include_router(_open_router)
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        problems.add_schema(app.openapi_schema)
    return app.openapi_schema


# Who is asked.


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


AskedService = Annotated[Service, Depends(_service)]


async def _jobs(service: AskedService) -> Jobs:
    return service.jobs


async def _results(service: AskedService) -> Results:
    return service.results


async def _journal(service: AskedService) -> Journal:
    return service.journal


AskedJobs = Annotated[Jobs, Depends(_jobs)]
AskedResults = Annotated[Results, Depends(_results)]
AskedJournal = Annotated[Journal, Depends(_journal)]

# The routes.

_everywhere = (ProblemType.HOST_NOT_ALLOWED, ProblemType.INTERNAL, ProblemType.UNAVAILABLE)
_router = APIRouter(responses=problems.documented(*_everywhere, ProblemType.UNAUTHORIZED))
_open_router = APIRouter(responses=problems.documented(*_everywhere))  # no token needed
_HDF5 = {"schema": {"type": "string", "format": "binary"}}
_EVENTS = {"schema": {"type": "string", "description": "events named `job`; each is a job object"}}


_refusals = (
    ProblemType.MALFORMED_REQUEST,
    ProblemType.PATH_NOT_ALLOWED,
    ProblemType.UNKNOWN_KEY,
    ProblemType.INVALID_VALUE,
    ProblemType.LIMIT_EXCEEDED,
    ProblemType.PATH_NOT_FOUND,
    ProblemType.INVALID_CHECKPOINT,
    ProblemType.CHECKPOINT_MISMATCH,
    ProblemType.INVALID_DATA,
    ProblemType.DOES_NOT_FIT,
)


@_router.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobStatus,
    responses=problems.documented(
        *_refusals, ProblemType.IDEMPOTENCY_CONFLICT, http_413=ProblemType.LIMIT_EXCEEDED
    ),
    openapi_extra=_SPEC_BODY,
)
async def submit_job(
    request: Request,
    jobs: AskedJobs,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Take on a job: answered once it is committed. The same key and body are the same job."""
    _check_key(idempotency_key)
    job = await jobs.submit(read_body(await _bounded_body(request)), idempotency_key)
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": _POLL_AGAIN_S}
    return _answer(job, 202, headers)


@_router.post(
    "/v1/jobs:estimate",
    response_model=JobEstimate,
    responses=problems.documented(*_refusals, http_413=ProblemType.LIMIT_EXCEEDED),
    openapi_extra=_SPEC_BODY,
)
async def estimate_job(
    request: Request, jobs: AskedJobs, stand_in: Annotated[str | None, Query()] = None
) -> Response:
    """What a job would take; nothing is submitted. A spec that would be refused is refused here.

    `stand_in` is the folder of a checkpoint that stands for every `{job: ID}` in the spec, so that
    a job can be estimated before the jobs that it builds on.
    """
    return _answer(await jobs.estimate(read_body(await _bounded_body(request)), stand_in))


@_router.get(
    "/v1/jobs",
    response_model=JobsPage,
    responses=problems.documented(ProblemType.JOB_NOT_FOUND, ProblemType.INVALID_VALUE),
)
async def list_jobs(
    jobs: AskedJobs,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: str | None = None,
) -> Response:
    """A page of jobs, the newest first; `next` is the `after` of the page that follows."""
    page, following = await jobs.page(limit, after)
    return _answer(JobsPage(jobs=page, next=following))


@_router.get(
    "/v1/jobs/{job_id}",
    response_model=JobStatus,
    responses=problems.documented(ProblemType.JOB_NOT_FOUND, ProblemType.INVALID_VALUE),
)
async def show_job(job_id: str, jobs: AskedJobs) -> Response:
    """One job."""
    return _answer(await jobs.show(job_id))


@_router.post(
    "/v1/jobs/{job_id}:cancel",
    response_model=JobStatus,
    responses=problems.documented(
        ProblemType.JOB_NOT_FOUND, ProblemType.JOB_NOT_ACTIVE, ProblemType.INVALID_VALUE
    ),
)
async def cancel_job(job_id: str, jobs: AskedJobs) -> Response:
    """Stop a job within its tile in flight; what is done stays."""
    return _answer(await jobs.cancel(job_id))


@_router.head("/v1/jobs/{job_id}/surface", include_in_schema=False)
@_router.get(
    "/v1/jobs/{job_id}/surface",
    response_class=FileResponse,
    responses={
        200: {"description": "The whole file", "content": {downloads.MEDIA_TYPE: _HDF5}},
        206: {"description": "What `Range` asked for", "content": {downloads.MEDIA_TYPE: _HDF5}},
        304: {"description": "`If-None-Match` names this very file"},
        **problems.documented(
            ProblemType.JOB_NOT_FOUND,
            ProblemType.NOT_FOUND,
            ProblemType.SURFACE_NOT_READY,
            ProblemType.INVALID_VALUE,
            http_416=ProblemType.INVALID_VALUE,
        ),
    },
)
async def fetch_surface(job_id: str, results: AskedResults) -> Response:
    """The HDF5 file; while the job runs, a snapshot with holes."""
    published = await results.lend(job_id)
    return downloads.Download(published, lambda: results.give_back(published))


@_router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events", "content": {"text/event-stream": _EVENTS}},
        **problems.documented(ProblemType.JOB_NOT_FOUND, ProblemType.INVALID_VALUE),
    },
)
async def follow_job(request: Request, job_id: str, jobs: AskedJobs) -> Response:
    """Server-sent events: the job now, at each change, and for the last time when it has ended."""
    await jobs.show(job_id)  # what is wrong must be said before the stream begins
    return StreamingResponse(
        _events(jobs.follow(job_id, request.app.state.keep_alive_s)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@_router.get("/v1/workers", response_model=WorkersStatus)
async def list_workers(service: AskedService) -> Response:
    """The workers, and the cluster that they are on; null while Ray does not answer."""
    workers = [
        WorkerStatus(
            id=worker.worker_id,
            state=worker.state.value,
            device=worker.device,
            job=worker.job_id,
            tile=worker.tile,
        )
        for worker in service.workers()
    ]
    cluster = None if service.cluster is None else ClusterStatus(**asdict(service.cluster))
    return _answer(WorkersStatus(workers=workers, cluster=cluster))


@_open_router.get("/healthz", response_model=Health)
async def health(journal: AskedJournal) -> Response:
    """Process, database and version; 503 while the database cannot be written or read."""
    await asyncio.to_thread(journal.check)
    version = importlib.metadata.version("bertscape")
    return _answer(Health(process=os.getpid(), database="ok", version=version))


@_open_router.get("/readyz", response_model=Readiness)
async def readiness(service: AskedService) -> Response:
    """Whether jobs can run: a live dispatcher with a worker."""
    if not service.is_ready:
        detail = "no worker is ready; submitted jobs wait for one"
        raise BertscapeError(Problem(ProblemType.UNAVAILABLE, detail))
    return _answer(Readiness(workers=len(service.workers())))


def _answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The model as JSON. It is written here: a route's model would be built and checked again."""
    content = model.model_dump_json()
    return Response(content, status, headers, media_type="application/json")


async def _bounded_body(request: Request) -> bytes:
    """The body; never more than the limit is held, whatever its header promises."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413)
    return bytes(body)


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= _KEY_LENGTH and key.isprintable()):
        expected = f"1 to {_KEY_LENGTH} printable characters"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "Idempotency-Key", key, expected)


async def _events(changes: AsyncGenerator[JobStatus | None, None]) -> AsyncIterator[bytes]:
    async with aclosing(changes):
        async for job in changes:
            if job is None:
                yield format_sse_event(comment="keep-alive")
            else:
                yield format_sse_event(event="job", data_str=job.model_dump_json())
