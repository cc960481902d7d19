"""The client of a service: submit jobs, follow them, bring their surfaces home."""

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from bertscape.http.connection import Connection
from bertscape.http.job import Job, job_path
from bertscape.http.retries import Retries
from bertscape.spec import JobSpec, absolute, load_spec, parse_spec
from bertscape.values import (
    TOKEN_VARIABLE,
    InvalidInput,
    JobEstimate,
    JobStatus,
    Problem,
    ProblemType,
    ServiceError,
)

DEFAULT_URL = "http://127.0.0.1:8000"
_PAGE = "100"


class Client:
    """A service at one address.

    Every request is tried up to 6 times within 60 seconds if no answer comes, or 429, 502, 503
    or 504, with growing pauses, or those that `Retry-After` asks for; `retries` changes that.
    Nothing else is tried twice.

    >>> with Client() as client:  # doctest: +SKIP
    ...     job = client.submit("spec.yaml").wait()
    ...     surface = job.surface()

    Args:
        url: address of the service; default `BERTSCAPE_URL`, else `http://127.0.0.1:8000`.
        token: bearer token; default `BERTSCAPE_TOKEN`, else none.
        transport: how requests travel, for tests.
        timeout: seconds without a byte after which a request counts as lost.
        retries: how often and how long to try.

    Raises:
        InvalidInput: the address or the token is malformed.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        timeout: float = 30.0,
        retries: Retries | None = None,
    ) -> None:
        self._connection = Connection(
            url or os.environ.get("BERTSCAPE_URL") or DEFAULT_URL,
            token or os.environ.get(TOKEN_VARIABLE) or None,
            transport,
            timeout,
            retries or Retries(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    @property
    def url(self) -> str:
        """Address of the service."""
        return str(self._connection.url)

    def close(self) -> None:
        """Close its connections."""
        self._connection.close()

    def submit(
        self,
        spec: JobSpec | Mapping[str, Any] | str | Path,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """Hand a job over; it is safely stored when this returns.

        Args:
            spec: a spec, its plain values, or the path of its YAML or JSON file. Relative paths
                are relative to the file's folder, else to the working directory.
            idempotency_key: the same key with the same spec is the same job, however often it
                is sent; by default a new one, which the retries of this call share.

        Raises:
            InvalidInput: the spec is wrong.
            ServiceError: the service refused it.
            ServiceUnreachable: no answer came.
        """
        key = str(uuid.uuid4()) if idempotency_key is None else _checked_key(idempotency_key)
        body = _absolute_spec(spec).to_json()
        members = self._connection.call(
            "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key}
        )
        return self._job(members)

    def estimate(
        self, spec: JobSpec | Mapping[str, Any] | str | Path, *, stand_in: str | Path | None = None
    ) -> JobEstimate:
        """What a job would take on the service's workers; nothing is submitted.

        Args:
            spec: as `submit` takes it.
            stand_in: the folder of a checkpoint of the same shapes, as the service has it, in
                place of every `{job: ID}` in the spec.

        Raises:
            InvalidInput: the spec is wrong.
            ServiceError: the service would refuse it.
            ServiceUnreachable: no answer came.
        """
        body = _absolute_spec(spec).to_json()
        params = {} if stand_in is None else {"stand_in": str(stand_in)}
        members = self._connection.call("POST", "/v1/jobs:estimate", json=body, params=params)
        return JobEstimate.from_json(members)

    def job(self, job_id: str) -> Job:
        """The job with this id, as it is now.

        Raises:
            ServiceError: `job-not-found`.
        """
        return self._job(self._connection.call("GET", job_path(job_id)))

    def jobs(self) -> Iterator[Job]:
        """All jobs, in the service's order; further pages are asked for as they are needed."""
        cursor: str | None = None
        while True:
            after = {} if cursor is None else {"after": cursor}
            page = self._connection.call("GET", "/v1/jobs", params={"limit": _PAGE, **after})
            for members in _list(page, "jobs"):
                yield self._job(members)
            cursor = page.get("next")
            if cursor is None:
                return

    def workers(self) -> list[dict[str, Any]]:
        """The workers as the service describes them: id, state, device, job, tile."""
        return _list(self._connection.call("GET", "/v1/workers"), "workers")

    def health(self) -> dict[str, Any]:
        """What `/healthz` says: process, database and version."""
        return self._connection.call("GET", "/healthz")

    def _job(self, members: Mapping[str, Any]) -> Job:
        return Job(self._connection, JobStatus.from_json(members))


def _absolute_spec(spec: JobSpec | Mapping[str, Any] | str | Path) -> JobSpec:
    match spec:
        case JobSpec():
            return absolute(spec, Path.cwd())
        case str() | Path():
            return load_spec(spec)
        case _:
            return absolute(parse_spec(spec), Path.cwd())


def _checked_key(key: str) -> str:
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip()):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "idempotency key", key, "1 to 255 printable ASCII characters"
        )
    return key


def _list(page: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    values = page.get(name)
    if not isinstance(values, list):
        detail = f"the service answered without a list {name!r}; expected a bertscape service"
        raise ServiceError(Problem(ProblemType.INTERNAL, detail))
    return values
