"""A result file over HTTP: entity tag, 304, ranges."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from bertscape.values import Problem, ProblemType
from bertscape_service.coordination import Published
from bertscape_service.rest.problems import problem_response

MEDIA_TYPE = "application/x-hdf5"


class Download(FileResponse):
    """The file of a result, or what If-None-Match and Range ask for instead of all of it.

    Args:
        published: the file.
        when_sent: called once nobody reads it any more.
    """

    def __init__(self, published: Published, when_sent: Callable[[], None]) -> None:
        name = f"{published.job_id}.h5"
        headers = {"ETag": published.etag, "Cache-Control": "no-cache"}
        super().__init__(published.path, headers=headers, media_type=MEDIA_TYPE, filename=name)
        self._etag = published.etag
        self._when_sent = when_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if self._is_known(Headers(scope=scope)):
                kept = {name: self.headers[name] for name in ("etag", "cache-control")}
                await Response(status_code=304, headers=kept)(scope, receive, send)
            else:
                await super().__call__(scope, receive, _with_problems(scope, receive, send))
        finally:
            self._when_sent()

    def _is_known(self, headers: Headers) -> bool:
        """Whether who asks has this very file (RFC 9110, section 13.1.2)."""
        asked = [tag.strip() for tag in headers.get("if-none-match", "").split(",")]
        return "*" in asked or self._etag in (tag.removeprefix("W/") for tag in asked)


def _with_problems(scope: Scope, receive: Receive, send: Send) -> Send:
    """A `send` that answers an unsatisfiable range with a problem document."""
    refused = False

    async def sent(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] >= 400:
            refused = True
            found = Headers(raw=message["headers"]).get("content-range")
            asked = Headers(scope=scope).get("range")
            problem = Problem(
                ProblemType.INVALID_VALUE,
                f"Range: {asked!r}; expected bytes within the file",
                key="Range",
                value=repr(asked),
                expected="bytes within the file",
            )
            headers = {} if found is None else {"Content-Range": found}
            await problem_response(problem, message["status"], headers)(scope, receive, send)
        elif not refused:
            await send(message)

    return sent
