"""The REST interface: small handlers that say who is asked what. Errors are answered elsewhere."""

import asyncio
import importlib.metadata
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.sse import format_sse_event
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse

from bertscape.spec import KINDS, FinetuneSpec
from bertscape.values import (
    BertscapeError,
    InvalidInput,
    Problem,
    ProblemType,
)
from bertscape_service.configuration import Settings
from bertscape_service.coordination import (
    Coordinator,
    brief,
    job_object,
    read_body,
)
from bertscape_service.journal import JobRow
from bertscape_service.rest import problems
from bertscape_service.rest.authorization import Gate

MAX_BODY_BYTES = 1 << 20
_POLL_AGAIN_S = "1"
_KEEP_ALIVE_S = 15.0
_BETWEEN_EVENTS_S = 0.2  # so that a busy job sends five events a second at most
_KEY_LENGTH = 255
# Each schema's definitions go with it: they may differ by kind.
_SPEC_SCHEMA = {"oneOf": [kind.model_json_schema() for kind in dict.fromkeys(KINDS.values())]}
_SPEC_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _SPEC_SCHEMA}},
    }
}


def create_app(coordinator: Coordinator, settings: Settings) -> FastAPI:
    """The app of one service; its lifespan starts and stops the coordinator."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await coordinator.start()
        try:
            yield
        finally:
            await coordinator.stop()

    app = FastAPI(
        title="bertscape",
        version=importlib.metadata.version("bertscape"),
        lifespan=lifespan,
        docs_url=None,  # both pages would load scripts of another site
        redoc_url=None,
    )
    app.state.coordinator = coordinator
    problems.install(app)
    app.add_middleware(Gate, settings=settings)
    app.include_router(_router)
    return app


_router = APIRouter()


async def _coordinator(request: Request) -> Coordinator:
    coordinator: Coordinator = request.app.state.coordinator
    return coordinator


async def _known_job(job_id: str, coordinator: "Asked") -> JobRow:
    return await coordinator.job(job_id)


Asked = Annotated[Coordinator, Depends(_coordinator)]
KnownJob = Annotated[JobRow, Depends(_known_job)]


@_router.post("/v1/jobs", status_code=202, openapi_extra=_SPEC_BODY)
async def submit_job(
    request: Request,
    coordinator: Asked,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Take on a job: answered once it is committed. The same key and body are the same job."""
    _check_key(idempotency_key)
    row = await coordinator.submit(read_body(await _bounded_body(request)), idempotency_key)
    headers = {"Location": f"/v1/jobs/{row.id}", "Retry-After": _POLL_AGAIN_S}
    return JSONResponse(_object(coordinator, row), 202, headers)


@_router.get("/v1/jobs")
async def list_jobs(
    coordinator: Asked,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: str | None = None,
) -> Response:
    """A page of jobs, the newest first; `next` is the `after` of the page that follows."""
    last = None if after is None else (await coordinator.job(after)).number
    rows = await asyncio.to_thread(coordinator.journal.jobs, limit + 1, last)
    page = rows[:limit]
    return JSONResponse(
        {
            "jobs": [brief(_object(coordinator, row)) for row in page],
            "next": page[-1].id if len(rows) > limit else None,
        }
    )


@_router.get("/v1/jobs/{job_id}")
async def show_job(row: KnownJob, coordinator: Asked) -> Response:
    """One job."""
    return JSONResponse(_object(coordinator, row))


@_router.post("/v1/jobs/{job_id}:cancel")
async def cancel_job(job_id: str, coordinator: Asked) -> Response:
    """Stop a job within its tile in flight; what is done stays."""
    return JSONResponse(_object(coordinator, await coordinator.cancel(job_id)))


@_router.get("/v1/jobs/{job_id}/surface")
async def fetch_surface(row: KnownJob, coordinator: Asked) -> Response:
    """The HDF5 file; while the job runs, a snapshot with holes."""
    if isinstance(row.spec, FinetuneSpec):
        detail = f"job {row.id} is a fine-tuning, which has no surface; see its output"
        raise BertscapeError(Problem(ProblemType.NOT_FOUND, detail, value=row.id))
    try:
        published = await asyncio.to_thread(coordinator.publication.publish, row.id)
    except OSError as error:
        detail = f"the surface cannot be written: {error}"
        raise BertscapeError(Problem(ProblemType.UNAVAILABLE, detail)) from error
    if published is None:
        detail = f"job {row.id} is {row.state.value} and has no tile yet"
        raise BertscapeError(Problem(ProblemType.SURFACE_NOT_READY, detail, value=row.id))
    headers = {
        "ETag": published.etag,
        "Content-Disposition": f'attachment; filename="{row.id}.h5"',
    }
    return Response(published.content, headers=headers, media_type="application/x-hdf5")


@_router.get("/v1/jobs/{job_id}/events")
async def follow_job(row: KnownJob, coordinator: Asked) -> Response:
    """Server-sent events: the job now, at each change, and for the last time when it has ended."""
    return StreamingResponse(
        _events(coordinator, row.id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@_router.get("/v1/workers")
async def list_workers(coordinator: Asked) -> Response:
    """The workers, and the cluster that they are on; null while Ray does not answer."""
    workers = [
        {
            "id": worker.worker_id,
            "state": worker.state.value,
            "device": worker.device,
            "job": worker.job_id,
            "tile": worker.tile,
        }
        for worker in coordinator.workers()
    ]
    cluster = coordinator.cluster
    return JSONResponse({"workers": workers, "cluster": asdict(cluster) if cluster else None})


@_router.get("/healthz")
async def health(coordinator: Asked) -> Response:
    """Process, database and version; 503 where the database cannot be written or read."""
    await asyncio.to_thread(coordinator.journal.jobs, 1)
    if coordinator.journal.fault is not None:
        detail = f"the journal cannot be written: {coordinator.journal.fault}"
        raise BertscapeError(Problem(ProblemType.UNAVAILABLE, detail))
    version = importlib.metadata.version("bertscape")
    return JSONResponse({"process": os.getpid(), "database": "ok", "version": version})


@_router.get("/readyz")
async def readiness(coordinator: Asked) -> Response:
    """Whether jobs can run: a live dispatcher with a worker."""
    if not coordinator.is_ready:
        detail = "no worker is ready; jobs can be submitted, and wait"
        raise BertscapeError(Problem(ProblemType.UNAVAILABLE, detail))
    return JSONResponse({"workers": len(coordinator.workers())})


def _object(coordinator: Coordinator, row: JobRow) -> dict[str, Any]:
    return job_object(row, coordinator.activity(row.id))


async def _bounded_body(request: Request) -> bytes:
    """The body, of which never more than the limit is held, whatever its header promises."""
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


async def _events(coordinator: Coordinator, job_id: str) -> AsyncIterator[bytes]:
    with coordinator.subscriptions.follow(job_id) as changed:
        while True:
            changed.clear()
            row = await coordinator.job(job_id)
            text = json.dumps(_object(coordinator, row))
            yield format_sse_event(event="job", data_str=text)
            if row.has_ended:
                return
            await asyncio.sleep(_BETWEEN_EVENTS_S)
            while not (coordinator.is_stopping or await _within(changed, _KEEP_ALIVE_S)):
                yield format_sse_event(comment="keep-alive")
            if coordinator.is_stopping:
                return


async def _within(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
