"""Result files over HTTP: entity tag, 304, ranges, and a file that is replaced meanwhile."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bertscape.results import result_bytes
from bertscape.values import Problem, ProblemType

pytestmark = pytest.mark.anyio


class Running:
    """A service with one job of which one tile is done, and the others are held back."""

    def __init__(self, service: Any, job_id: str) -> None:
        self.service = service
        self.job_id = job_id
        self.path = f"/v1/jobs/{job_id}/surface"

    async def get(self, method: str = "GET", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.service.http.request(method, self.path, headers=named)

    async def another_tile(self) -> None:
        done = (await self.service.job(self.job_id))["tiles_done"]
        self.service.link.say(self.service.link.result(self.service.link.held.pop()))
        await self.service.until(lambda job: job["tiles_done"] == done + 1, self.job_id)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.service.state.surfaces.iterdir())


@pytest.fixture
async def running(run_service: Any, inputs: Any, script: Any) -> AsyncIterator[Running]:
    script.tiles_to_run = 1
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 1, job["id"])
        await service.settled()
        yield Running(service, job["id"])


async def test_the_tag_is_the_sha256_of_the_file(running: Running) -> None:
    answer = await running.get()
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert f'filename="{running.job_id}.h5"' in answer.headers["Content-Disposition"]


async def test_the_tag_is_worked_out_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await running.get()

    def refuse(*_: object) -> None:
        raise AssertionError("the file is digested again")

    monkeypatch.setattr("bertscape_service.coordination.publication.hashlib.sha256", refuse)
    again = await running.get()
    assert (again.status_code, again.headers["ETag"]) == (200, first.headers["ETag"])
    assert again.content == first.content


@pytest.mark.parametrize("form", ["{}", "W/{}", '"another", {}', "*"])
async def test_who_has_the_file_is_told_so(running: Running, form: str) -> None:
    first = await running.get()
    same = await running.get(If_None_Match=form.format(first.headers["ETag"]))
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == first.headers["ETag"]
    assert (await running.get(If_None_Match='"another"')).content == first.content
    if form != "*":
        await running.another_tile()
        changed = await running.get(If_None_Match=form.format(first.headers["ETag"]))
        assert (changed.status_code, changed.content != first.content) == (200, True)


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-3", slice(0, 4)), ("bytes=1000-", slice(1000, None)), ("bytes=-5", slice(-5, None))],
)
async def test_a_part_of_the_file(running: Running, asked: str, part: slice) -> None:
    whole = (await running.get()).content
    answer = await running.get(Range=asked)
    assert (answer.status_code, answer.content) == (206, whole[part])
    start, stop, _ = part.indices(len(whole))
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


async def test_a_download_goes_on_only_with_the_same_file(running: Running) -> None:
    first = await running.get()
    tag = first.headers["ETag"]
    assert (await running.get(Range="bytes=9-", If_Range=tag)).content == first.content[9:]
    await running.another_tile()
    answer = await running.get(Range="bytes=9-", If_Range=tag)
    assert (answer.status_code, answer.headers["ETag"] != tag) == (200, True)


async def test_a_part_that_is_not_there_is_a_problem(running: Running) -> None:
    size = len((await running.get()).content)
    answer = await running.get(Range=f"bytes={size}-")
    assert answer.status_code == answer.json()["status"] == 416
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    problem = Problem.from_json(answer.json())
    assert (problem.type, problem.key) == (ProblemType.INVALID_VALUE, "Range")


async def test_head_tells_all_but_the_file(running: Running) -> None:
    whole, head = await running.get(), await running.get("HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Accept-Ranges"):
        assert head.headers[name] == whole.headers[name]
    same = await running.get("HEAD", If_None_Match=whole.headers["ETag"])
    assert same.status_code == 304


async def test_one_file_is_left_however_it_was_asked_for(running: Running) -> None:
    tag = (await running.get()).headers["ETag"]
    await running.get(If_None_Match=tag)
    await running.get(Range="bytes=0-3")
    await running.get(Range="bytes=99999999-")
    await running.get("HEAD")
    await running.another_tile()
    await running.get()
    assert len(running.files()) == 1


@pytest.mark.parametrize("asked", [[], [(b"range", b"bytes=100-199")]])
async def test_a_file_that_is_replaced_meanwhile_comes_whole(
    running: Running, asked: list[tuple[bytes, bytes]]
) -> None:
    """Nothing of the file is read before the next one has taken its place."""
    first = await running.get()
    begun, replaced = asyncio.Event(), asyncio.Event()
    body = bytearray()
    headers: dict[bytes, bytes] = {}

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers.update(message["headers"])
            begun.set()
            await replaced.wait()
        else:
            body.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": running.path,
        "raw_path": running.path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), *asked],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    download = asyncio.create_task(running.service.app(scope, receive, send))
    await begun.wait()
    await running.another_tile()
    second = await running.get()
    assert second.headers["ETag"] != first.headers["ETag"]
    replaced.set()
    await download
    assert headers[b"etag"].decode() == first.headers["ETag"]
    assert bytes(body) == (first.content[100:200] if asked else first.content)
    assert len(running.files()) == 1  # the replaced one went once it was sent


async def test_one_job_does_not_wait_for_the_file_of_another(
    run_service: Any, inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run_service() as service:
        jobs = [(await service.submit(inputs.spec()))["id"] for _ in range(2)]
        for job_id in jobs:
            await service.ended(job_id)
        for path in service.state.surfaces.iterdir():
            path.unlink()  # so that they are made again
        building, go = threading.Event(), threading.Event()
        made: list[object] = []

        def slowly(result: Any) -> bytes:
            if not made:
                made.append(result)
                building.set()
                assert go.wait(30)
            return result_bytes(result)

        monkeypatch.setattr("bertscape_service.coordination.publication.result_bytes", slowly)
        slow = asyncio.create_task(service.http.get(f"/v1/jobs/{jobs[0]}/surface"))
        await asyncio.to_thread(building.wait, 30)
        other = await service.http.get(f"/v1/jobs/{jobs[1]}/surface")
        assert (other.status_code, slow.done()) == (200, False)
        go.set()
        assert (await slow).status_code == 200


async def test_a_finetuning_has_no_file(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        job = await service.submit(inputs.training())
        assert (await service.ended(job["id"]))["state"] == "completed"
        answer = await service.http.get(f"/v1/jobs/{job['id']}/surface")
        assert answer.json()["type"] == ProblemType.NOT_FOUND.uri
        assert list(service.state.surfaces.iterdir()) == []
