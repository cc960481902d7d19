"""Who may speak to the service: the Host header, the Origin header, and the bearer token.

A page in the user's own browser can reach a service on loopback. It cannot forge a Host header
that is allowed here (a name that it rebinds to 127.0.0.1 is not), and a browser adds an Origin to
whatever a page of another site may change.
"""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bertscape.values import Problem, ProblemType
from bertscape_service.configuration import Settings
from bertscape_service.rest.problems import problem_response

OPEN_PATHS = ("/healthz", "/readyz")
"""What probes ask for, without a token; they tell no secret."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  recognised, not listened on
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Gate:
    """ASGI middleware that lets through what is allowed, and answers the rest itself."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._token = settings.token
        self._any_address = settings.host in _WILDCARDS
        names = (*_LOOPBACK, settings.host, *settings.allowed_hosts)
        self._hosts = frozenset(name.lower().strip("[]") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        problem = self._refusal(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(problem)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        place = headers.get("host", "").lower()
        host = _name(f"//{place}")
        if host is None or not self._allows(host, scope):
            detail = f"Host {headers.get('host')!r} is not allowed; allow it with --allowed-host"
            return Problem(ProblemType.HOST_NOT_ALLOWED, detail)
        origin = headers.get("origin")
        if scope["method"] not in _SAFE_METHODS and origin and _place(origin) != place:
            detail = f"cross-origin write from {origin!r} refused"
            return Problem(ProblemType.HOST_NOT_ALLOWED, detail)
        if self._token is None or scope["path"] in OPEN_PATHS or self._bears_token(headers):
            return None
        return Problem(ProblemType.UNAUTHORIZED, "expected the header Authorization: Bearer TOKEN")

    def _allows(self, host: str, scope: Scope) -> bool:
        if host in self._hosts:
            return True
        # Listening on every address, it is known by that of the connection too; as a number it
        # cannot be a name that was rebound.
        server = scope.get("server")
        return self._any_address and server is not None and host == server[0]

    def _bears_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        expected = (self._token or "").encode()
        # Latin-1 is how the header was decoded; the comparison takes equal time for any value.
        same = hmac.compare_digest(given.strip().encode("latin-1"), expected)
        return same and scheme.lower() == "bearer"


def _place(origin: str) -> str | None:
    """Host and port of an Origin; None if it has none, as "null"."""
    try:
        return urlsplit(origin.lower()).netloc or None
    except ValueError:
        return None


def _name(url: str) -> str | None:
    """The host of a URL without its port, in lower case; None if there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
