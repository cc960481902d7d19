"""The API process itself: its socket, its signals, its exit status, and what it imports."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

SERVE = """
import sys
from bertscape.cli import main

class NoDispatcher:
    def __init__(self, options, on_message, on_lost, state_directory):
        pass
    def start(self):
        pass
    def send(self, message):
        pass
    def stop(self):
        print("the dispatcher was stopped", flush=True)

from bertscape_service.coordination import coordinator
coordinator.DispatcherLink = NoDispatcher
sys.exit(main(["serve", *sys.argv[1:]]))
"""


class Served:
    """`serve` in a process of its own, with nobody behind it."""

    def __init__(self, state: Path, root: Path, *options: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", SERVE, "--state-dir", str(state)),
                *("--allow-root", str(root), *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("bertscape: serving on http://"), self.process.communicate()
        return line.split()[3].rstrip(",")

    def end(self, name: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(name)
        return self.outcome()

    def outcome(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=240)
        return self.process.returncode, out, err


@pytest.fixture
def serve(tmp_path: Path, inputs: Any) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*options: str, state: str = "state", **environment: str) -> Served:
        started.append(Served(tmp_path / state, inputs.folder, *options, **environment))
        return started[-1]

    yield start
    for served in started:
        served.process.kill()
        served.process.communicate()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(serve: Callable[..., Served], inputs: Any, name: Any) -> None:
    served = serve("--port", "0")
    with httpx2.Client(base_url=served.url()) as http:
        job = http.post("/v1/jobs", json=inputs.spec())
        assert job.status_code == 202
        children = psutil.Process(served.process.pid).children(recursive=True)
        # Someone follows a job that does not end: the stream must not hold the service up.
        with http.stream("GET", f"{job.headers['Location']}/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "event: job"
            served.process.send_signal(name)
            assert [line for line in lines if line.startswith("event:")] == []
    status, out, err = served.outcome()
    assert (status, out, err) == (0, "the dispatcher was stopped\n", "")
    assert children == []


def test_changes_are_streamed_as_they_come(serve: Callable[..., Served], inputs: Any) -> None:
    served = serve("--port", "0")
    url = served.url()
    with httpx2.Client(base_url=url, timeout=30) as http:
        path = http.post("/v1/jobs", json=inputs.spec()).headers["Location"]
        states: list[str] = []
        with http.stream("GET", f"{path}/events") as events:
            for line in events.iter_lines():
                if line.startswith("data: "):
                    states.append(json.loads(line.removeprefix("data: "))["state"])
                    if states == ["queued"]:
                        httpx2.post(f"{url}{path}:cancel").raise_for_status()
    assert states[0] == "queued"
    assert states[-1] == "cancelled"


def test_a_port_in_use_is_one_clear_line(serve: Callable[..., Served]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = serve("--port", str(port)).outcome()
    assert status == 2
    assert out == ""
    reason = f"'127.0.0.1:{port}' (Address already in use)"
    assert err == f"bertscape: --port: {reason}; expected a free port of this machine\n"


def test_a_state_directory_in_use_is_one_clear_line(serve: Callable[..., Served]) -> None:
    first = serve("--port", "0")
    first.url()
    status, _, err = serve("--port", "0").outcome()
    assert status == 2
    assert f"is in use by process {first.process.pid} on {socket.gethostname()}" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--host", "0.0.0.0"), "a loopback address such as 127.0.0.1, or a token"),
        (("--host", "192.0.2.1"), "an address|a free port"),
        (("--host", "no such host"), "an address of this machine"),
    ],
)
def test_an_address_that_cannot_be_served(
    serve: Callable[..., Served], options: tuple[str, ...], expected: str
) -> None:
    environment = {} if options[1] == "0.0.0.0" else {"BERTSCAPE_TOKEN": "a-token"}
    status, _, err = serve("--port", "0", *options, **environment).outcome()
    assert status == 2
    assert len(err.splitlines()) == 1
    assert any(words in err for words in expected.split("|"))


def test_jobs_outlive_kill_9(serve: Callable[..., Served], inputs: Any) -> None:
    served = serve("--port", "0")
    job = httpx2.post(f"{served.url()}/v1/jobs", json=inputs.spec()).json()
    served.process.kill()
    served.process.communicate()
    again = serve("--port", "0")
    assert httpx2.get(f"{again.url()}/v1/jobs/{job['id']}").json()["state"] == "queued"


def test_a_slow_client_does_not_hold_up_the_end(serve: Callable[..., Served]) -> None:
    served = serve("--port", "0")
    host, port = served.url().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        half.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert half.recv(1000).startswith(b"HTTP/1.1 100 ")  # its body is waited for
        half.sendall(b"{")
        served.process.send_signal(signal.SIGINT)
        assert half.recv(1000).startswith(b"HTTP/1.1 503 ")
    status, out, err = served.outcome()
    assert (status, out) == (0, "the dispatcher was stopped\n")
    assert "Traceback" not in err


def test_a_client_that_hangs_up_is_no_fault(serve: Callable[..., Served]) -> None:
    served = serve("--port", "0")
    host, port = served.url().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
    assert served.end(signal.SIGTERM) == (0, "the dispatcher was stopped\n", "")


IMPORTS = """
import asyncio, json, sys
from pathlib import Path
import httpx2
from bertscape_service.rest.api import create_app
from bertscape_service.coordination.coordinator import Coordinator
from bertscape_service.running.serve import serve
from bertscape_service.configuration.settings import Settings
from bertscape_service.configuration.state_directory import StateDirectory

class NoLink:
    def start(self): pass
    def send(self, message): pass
    def stop(self): pass

async def main():
    settings = Settings(Path(sys.argv[1]), (Path(sys.argv[2]),))
    coordinator = Coordinator(
        settings, StateDirectory.acquire(settings.state_directory), lambda *_: NoLink()
    )
    app = create_app(coordinator, settings)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.post("/v1/jobs", content=sys.stdin.read())
            print(answer.status_code)

asyncio.run(main())
print(json.dumps([name for name in sys.modules if "." not in name]))
"""


def test_the_api_process_imports_neither_torch_nor_ray(tmp_path: Path, inputs: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(tmp_path / "state"), str(inputs.folder)],
        input=json.dumps(inputs.spec()),
        capture_output=True,
        text=True,
        check=True,
    )
    status, listed = done.stdout.splitlines()
    modules = set(json.loads(listed))
    assert status == "202"
    assert "fastapi" in modules
    assert not {"torch", "transformers", "datasets", "ray"} & modules


def test_the_command_is_known_without_its_extra() -> None:
    code = (
        "import sys; from bertscape_service.running.commands import SERVE; SERVE;"
        " print([name for name in ('fastapi', 'uvicorn', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
