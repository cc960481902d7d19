"""Who is let in: by token, by Host, and no page of another site."""

from typing import Any

import httpx2
import pytest

from bertscape.values import ProblemType

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    "header",
    [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer ä"],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/workers", "/openapi.json", "/nowhere"])
async def test_without_the_token_nothing_is_told(
    run_service: Any, header: str | None, path: str
) -> None:
    async with run_service(token=TOKEN) as service:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        answer = await service.http.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["type"] == ProblemType.UNAUTHORIZED.uri
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_with_the_token_all_is_open(run_service: Any, scheme: str) -> None:
    async with run_service(token=TOKEN) as service:
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert (await service.http.get("/v1/jobs", headers=headers)).status_code == 200


async def test_probes_need_no_token(run_service: Any) -> None:
    async with run_service(token=TOKEN) as service:
        assert (await service.http.get("/healthz")).status_code == 200
        assert (await service.http.get("/readyz")).status_code in (200, 503)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("LocalHost:1", True),
        ("[::1]:8000", True),
        ("scape.example:8000", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False),
        ("[::1", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/healthz"])
async def test_the_host_header_is_checked(
    run_service: Any, host: str, allowed: bool, path: str
) -> None:
    async with run_service(allowed_hosts=("scape.example",)) as service:
        answer = await service.http.get(path, headers={"Host": host})
        assert answer.status_code == (200 if allowed else 421)
        if not allowed:
            assert answer.json()["type"] == ProblemType.HOST_NOT_ALLOWED.uri
            assert "--allowed-host" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("host", "url", "allowed"),
    [
        ("0.0.0.0", "http://10.1.2.3:8000", True),  # the address that the connection came to
        ("0.0.0.0", "http://evil.example:8000", False),
        ("10.1.2.3", "http://10.1.2.3:8000", True),
        ("10.1.2.3", "http://10.9.9.9:8000", False),
    ],
)
async def test_beyond_loopback_the_address_itself_is_a_name(
    run_service: Any, host: str, url: str, allowed: bool
) -> None:
    async with run_service(host=host, token=TOKEN) as service:
        # The transport says of its server what the URL says, as a connection to it would.
        server = ("10.1.2.3", 8000)
        app = service.app

        async def connected(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "server": server}, receive, send)

        transport = httpx2.ASGITransport(connected)
        async with httpx2.AsyncClient(transport=transport) as http:
            answer = await http.get(f"{url}/healthz")
        assert answer.status_code == (200 if allowed else 421)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:8000", True),
        ("http://evil.example", False),
        ("http://127.0.0.1:3000", False),  # another page on the same machine
        ("null", False),
        ("http://[", False),
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    run_service: Any, inputs: Any, origin: str | None, allowed: bool
) -> None:
    async with run_service() as service:
        headers = {} if origin is None else {"Origin": origin}
        answer = await service.http.post("/v1/jobs", json=inputs.spec(), headers=headers)
        assert answer.status_code == (202 if allowed else 421)
        assert "Access-Control-Allow-Origin" not in answer.headers
        read = await service.http.get("/v1/jobs", headers=headers)
        assert len(read.json()["jobs"]) == allowed
