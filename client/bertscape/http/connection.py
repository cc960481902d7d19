"""The wire below the client: requests with retries, and answers turned into values or errors."""

import ipaddress
import platform
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, TypeVar, cast

import httpx2

from bertscape.http.retries import RETRIED_STATUS, Retries, seconds_to_wait
from bertscape.values import (
    InvalidInput,
    Problem,
    ProblemType,
    ServiceError,
    ServiceUnreachable,
    checked_token,
    one_line,
    shortened,
)
from bertscape.version import version

_Answer = TypeVar("_Answer")

# The request, or its answer, was lost on the way; all our requests may be sent twice.
_LOST = (
    httpx2.TimeoutException,
    httpx2.NetworkError,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
)

_KIND_OF_STATUS = {
    400: ProblemType.MALFORMED_REQUEST,
    401: ProblemType.UNAUTHORIZED,
    404: ProblemType.NOT_FOUND,
    405: ProblemType.METHOD_NOT_ALLOWED,
    421: ProblemType.HOST_NOT_ALLOWED,
    **dict.fromkeys(RETRIED_STATUS, ProblemType.UNAVAILABLE),
}


class EventsNotOffered(Exception):
    """The service has no event stream for this: poll instead."""


class Connection:
    """HTTP to one service. Not for use by several threads at once."""

    def __init__(
        self,
        url: str,
        token: str | None,
        transport: httpx2.BaseTransport | None,
        timeout: float,
        retries: Retries,
    ) -> None:
        self.url = _checked_url(url)
        self.retries = retries
        self._timeout = timeout
        self._http = httpx2.Client(
            base_url=self.url,
            headers=_headers(token),
            transport=transport,
            timeout=timeout,
            # A proxy of the environment cannot reach this machine's own loopback address.
            trust_env=not _is_loopback(self.url.host),
        )

    def close(self) -> None:
        """Close its sockets; more than once does no harm."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        retries: Retries | None = None,
    ) -> dict[str, Any]:
        """Send a request, again if that helps, and return the JSON object that answers it.

        Raises:
            ServiceError: the service refused it.
            ServiceUnreachable: no answer, or only 429, 502, 503 and 504, after all tries.
        """

        def once() -> dict[str, Any]:
            response = self._http.request(method, path, json=json, params=params, headers=headers)
            _raise_for_problem(response)
            return _object(response)

        return self._with_retries(once, retries or self.retries)

    def download(self, path: str, file: IO[bytes]) -> None:
        """Write what is at `path` to an empty file; a try that breaks off leaves no trace in it.

        Raises:
            ServiceError, ServiceUnreachable: as in `call`.
        """

        def once() -> None:
            file.seek(0)
            file.truncate()
            with self._http.stream("GET", path) as response:
                if response.status_code != httpx2.codes.OK:
                    response.read()
                    _raise_for_problem(response)
                    raise _unexpected(response, f"status {response.status_code}")
                for chunk in response.iter_bytes():
                    file.write(chunk)

        self._with_retries(once, self.retries)

    def events(
        self, path: str, silence: float, heard: Callable[[], object]
    ) -> Iterator[httpx2.ServerSentEvent]:
        """Server-sent events of one connection, until it ends; tried once.

        Args:
            path: of the event stream.
            silence: seconds without a byte after which the connection counts as lost.
            heard: called at each arrival, comments included; may raise to end the stream.

        Raises:
            EventsNotOffered: the service has no such stream.
            ServiceError: the service refused it.
            ServiceUnreachable: the connection was lost.
        """
        timeout = httpx2.Timeout(self._timeout, read=silence)
        try:
            with self._http.sse(path, timeout=timeout) as source:
                if source.response.status_code != httpx2.codes.OK:
                    source.response.read()
                    _raise_for_problem(source.response)
                stream = cast("httpx2.SyncByteStream", source.response.stream)  # a sync client's
                source.response.stream = _Watched(stream, heard)
                yield from source
        except httpx2.SSEError as error:  # it answered, with something else
            raise EventsNotOffered(str(error)) from error
        except _LOST as error:
            raise self._unreachable(error, 1) from error

    def _with_retries(self, once: Callable[[], _Answer], retries: Retries) -> _Answer:
        began = retries.clock()
        failures = 0
        while True:
            try:
                return once()
            except _LOST as error:
                cause: Exception = error
                retry_after = None
            except _Busy as error:
                cause, retry_after = error, error.retry_after
            except httpx2.HTTPError as error:  # undecodable content, too many redirects, …
                raise self._unreachable(error, failures + 1) from error
            failures += 1
            pause = retries.pause(failures, retry_after)
            spent = retries.clock() - began
            if failures >= retries.tries or spent + pause > retries.seconds:
                if isinstance(cause, _Busy):
                    raise ServiceError(cause.problem, cause.status) from None
                raise self._unreachable(cause, failures) from cause
            retries.sleep(pause)

    def _unreachable(self, cause: Exception, tries: int) -> ServiceUnreachable:
        reason = str(cause) or type(cause).__name__
        times = "" if tries == 1 else f" after {tries} tries"
        detail = (
            f"no answer from {self.url}{times} ({reason}); expected a running `bertscape serve`"
        )
        return ServiceUnreachable(
            Problem(ProblemType.UNAVAILABLE, detail, key="url", value=str(self.url))
        )


class _Watched(httpx2.SyncByteStream):
    """A stream of bytes that reports each arrival: comments never become events."""

    def __init__(self, stream: httpx2.SyncByteStream, heard: Callable[[], object]) -> None:
        self._stream = stream
        self._heard = heard

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield chunk
            self._heard()

    def close(self) -> None:
        self._stream.close()


class _Busy(ServiceError):
    """A refusal that may pass."""

    def __init__(self, problem: Problem, status: int, retry_after: float | None) -> None:
        super().__init__(problem, status)
        self.retry_after = retry_after


def _raise_for_problem(response: httpx2.Response) -> None:
    """Turn every answer except a success into an error."""
    if response.is_success:
        return
    problem = _problem(response)
    if response.status_code in RETRIED_STATUS:
        retry_after = seconds_to_wait(response.headers.get("Retry-After"))
        raise _Busy(problem, response.status_code, retry_after)
    raise ServiceError(problem, response.status_code)


def _problem(response: httpx2.Response) -> Problem:
    """The problem document, or one made from an answer that holds none (a proxy's, say)."""
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if content_type == "application/problem+json":
        try:
            return Problem.from_json(response.json())
        except (ValueError, AttributeError, TypeError):
            pass  # not what it says it is
    kind = _KIND_OF_STATUS.get(response.status_code, ProblemType.INTERNAL)
    return _unexpected(response, f"status {response.status_code}", kind).problem


def _object(response: httpx2.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _unexpected(response, "no JSON object")
    return value


def _unexpected(
    response: httpx2.Response, what: str, kind: ProblemType = ProblemType.INTERNAL
) -> ServiceError:
    content = one_line(response.text)
    body = f": {shortened(content, 100)}" if content else ""
    detail = (
        f"{response.request.method} {response.request.url} answered with {what}{body}; "
        "expected a bertscape service there"
    )
    return ServiceError(Problem(kind, detail), response.status_code)


def _checked_url(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "url", url, "an address such as http://127.0.0.1:8000"
        )
    return parsed


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(token: str | None) -> dict[str, str]:
    headers = {
        "Accept": "application/json, application/problem+json",
        "User-Agent": f"bertscape/{version()} Python/{platform.python_version()}",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {checked_token('token', token)}"
    return headers
