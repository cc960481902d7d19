"""Every route, and every way in which a request can be wrong."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.sse import format_sse_event

from bertscape.spec import Limits
from bertscape.values import JobStatus, Problem, ProblemDocument, ProblemType
from bertscape_service.rest.api import MAX_BODY_BYTES
from bertscape_service.rest.models import Health, JobsPage, Readiness, WorkersStatus
from bertscape_service.scheduling import PrepareJob, RunTile

pytestmark = pytest.mark.anyio


def problem_of(response: Any, kind: ProblemType, status: int | None = None) -> Problem:
    """The document, which must be one of this kind."""
    assert response.headers["Content-Type"] == "application/problem+json", response.text
    members = response.json()
    assert members["type"] == kind.uri
    assert members["status"] == response.status_code == (status or kind.status)
    assert members["title"] == kind.summary
    return Problem.from_json(members)


async def test_a_submission_is_answered_once_it_is_committed(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", json=inputs.spec())
        job = answer.json()
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
        assert int(answer.headers["Retry-After"]) > 0
        row = service.coordinator.journal.job(job["id"])
        assert row.spec.to_json() == job["spec"]
        located = await service.http.get(answer.headers["Location"])
        assert located.json()["id"] == job["id"]


async def test_the_job_object_has_these_members(run_service: Any, inputs: Any, script: Any) -> None:
    script.starts = False
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", job.pop("created"))
        assert job.pop("updated")
        assert job == {
            "id": job["id"],
            "name": "a small one",
            "kind": "surface",
            "state": "queued",
            "points_total": 12,
            "points_done": 0,
            "tiles_total": 6,
            "tiles_done": 0,
            "eta_seconds": None,
            "workers": 0,
            "progress": None,
            "error": None,
            "spec": job["spec"],
            "self_checks": [],
            "warnings": [],
            "output": None,
            "estimate": None,
        }


async def test_the_same_key_and_body_are_the_same_job(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        first = await service.submit(inputs.spec(), **{"Idempotency-Key": "one"})
        (inputs.folder / "train.tsv").unlink()  # a retry is not checked against the files again
        body = json.dumps(dict(reversed(inputs.spec().items())), indent=3)
        again = await service.http.post(
            "/v1/jobs", content=body, headers={"Idempotency-Key": "one"}
        )
        assert again.status_code == 202
        assert again.json()["id"] == first["id"]
        assert again.headers["Location"] == f"/v1/jobs/{first['id']}"
        assert len((await service.http.get("/v1/jobs")).json()["jobs"]) == 1


async def test_the_same_key_with_another_body_is_refused(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        await service.submit(inputs.spec(), **{"Idempotency-Key": "one"})
        answer = await service.http.post(
            "/v1/jobs", json=inputs.spec(name="another"), headers={"Idempotency-Key": "one"}
        )
        problem = problem_of(answer, ProblemType.IDEMPOTENCY_CONFLICT)
        assert "'one'" in problem.detail


async def test_a_key_that_comes_several_times_at_once_makes_one_job(
    run_service: Any, inputs: Any
) -> None:
    async with run_service() as service:
        jobs = await asyncio.gather(
            *(service.submit(inputs.spec(), **{"Idempotency-Key": "one"}) for _ in range(5))
        )
        assert len({job["id"] for job in jobs}) == 1
        await service.ended(jobs[0]["id"])
        assert len(service.link.told(PrepareJob)) == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_of_the_wrong_length_is_refused(
    run_service: Any, inputs: Any, key: str
) -> None:
    async with run_service() as service:
        answer = await service.http.post(
            "/v1/jobs", json=inputs.spec(), headers={"Idempotency-Key": key}
        )
        assert problem_of(answer, ProblemType.INVALID_VALUE).key == "Idempotency-Key"


async def test_jobs_come_in_pages_with_the_newest_first(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        jobs = [(await service.submit(inputs.spec()))["id"] for _ in range(5)]
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = (await service.http.get("/v1/jobs", params={"limit": 2, **after})).json()
            seen += [job["id"] for job in page["jobs"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert seen == jobs[::-1]


@pytest.mark.parametrize("limit", ["0", "101", "many"])
async def test_a_page_has_a_size(run_service: Any, limit: str) -> None:
    async with run_service() as service:
        answer = await service.http.get("/v1/jobs", params={"limit": limit})
        problem = problem_of(answer, ProblemType.INVALID_VALUE)
        assert (problem.key, problem.value) == ("limit", repr(limit))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/nowhere"),
        ("GET", "/v1/jobs/nowhere/surface"),
        ("GET", "/v1/jobs/nowhere/events"),
        ("POST", "/v1/jobs/nowhere:cancel"),
        ("GET", "/v1/jobs?after=nowhere"),
    ],
)
async def test_a_job_that_does_not_exist(run_service: Any, method: str, path: str) -> None:
    async with run_service() as service:
        problem = problem_of(await service.http.request(method, path), ProblemType.JOB_NOT_FOUND)
        assert "'nowhere'" in problem.detail


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/", ProblemType.NOT_FOUND),
        ("GET", "/docs", ProblemType.NOT_FOUND),
        ("GET", "/v1/jobs/a/b/c", ProblemType.NOT_FOUND),
        ("DELETE", "/v1/jobs", ProblemType.METHOD_NOT_ALLOWED),
        ("POST", "/v1/workers", ProblemType.METHOD_NOT_ALLOWED),
        ("GET", "/v1/jobs/a:cancel/x", ProblemType.NOT_FOUND),
    ],
)
async def test_an_address_or_method_that_does_not_exist(
    run_service: Any, method: str, path: str, kind: ProblemType
) -> None:
    async with run_service() as service:
        problem = problem_of(await service.http.request(method, path), kind)
        assert f"{method} {path}" in problem.detail


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'kind': 1}", b"\xff\xfe", b"[" * 50_000, b'{"n": ' + b"9" * 5000 + b"}"],
)
async def test_a_body_that_is_no_json(run_service: Any, body: bytes) -> None:
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", content=body)
        problem = problem_of(answer, ProblemType.MALFORMED_REQUEST)
        assert "expected a job spec as JSON" in problem.detail


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large(run_service: Any, declared: bool) -> None:
    async def pieces() -> Any:
        for _ in range(MAX_BODY_BYTES // 1000 + 2):
            yield b" " * 1000

    async with run_service() as service:
        content = b" " * (MAX_BODY_BYTES + 1) if declared else pieces()
        answer = await service.http.post("/v1/jobs", content=content)
        problem = problem_of(answer, ProblemType.LIMIT_EXCEEDED, 413)
        assert "larger than 1 MiB" in problem.detail


async def test_a_body_just_small_enough_is_read(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        body = json.dumps(inputs.spec()).ljust(MAX_BODY_BYTES)
        assert (await service.http.post("/v1/jobs", content=body)).status_code == 202


BAD = [
    ({"colour": "red"}, ProblemType.UNKNOWN_KEY, "colour"),
    ({"kind": "hessian"}, ProblemType.INVALID_VALUE, "kind"),
    ({"grid": {"x": [-1, float("nan"), 4], "y": [0, 1, 2]}}, ProblemType.INVALID_VALUE, "grid.x"),
    ({"grid": {"x": [-1, 1, 1], "y": [0, 1, 2]}}, ProblemType.INVALID_VALUE, "grid.x"),
    ({"grid": {"x": [1, -1, 4], "y": [0, 1, 2]}}, ProblemType.INVALID_VALUE, "grid.x"),
    ({"grid": {"x": [0, 1, 400], "y": [0, 1, 400]}}, ProblemType.LIMIT_EXCEEDED, "grid"),
    ({"y": {"toward": "relative/folder"}}, ProblemType.INVALID_VALUE, "y.toward"),
    ({"y": {"pca": ["/etc", "relative/folder"]}}, ProblemType.INVALID_VALUE, "y.pca[1]"),
    ({"y": {"toward": "~/folder"}}, ProblemType.INVALID_VALUE, "y.toward"),
    ({"y": {"toward": "/with\0nul"}}, ProblemType.INVALID_VALUE, "y.toward"),
    ({"y": {"toward": "/etc"}}, ProblemType.PATH_NOT_ALLOWED, "y.toward"),
    ({"trajectory": ["relative"]}, ProblemType.INVALID_VALUE, "trajectory[0]"),
]


@pytest.mark.parametrize(("change", "kind", "key"), BAD, ids=[str(bad[0])[:40] for bad in BAD])
async def test_a_wrong_spec_is_refused_by_key(
    run_service: Any, inputs: Any, change: dict[str, Any], kind: ProblemType, key: str
) -> None:
    async with run_service() as service:
        body = json.dumps(inputs.spec(**change))  # NaN too, as Python writes it
        problem = problem_of(await service.http.post("/v1/jobs", content=body), kind)
        assert problem.key == key
        assert problem.expected
        assert problem.detail.startswith(f"{key}: ")
        assert problem.detail.endswith(f"; expected {problem.expected}")
        assert (await service.http.get("/v1/jobs")).json()["jobs"] == []


async def test_text_that_is_no_unicode_is_refused(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        body = json.dumps(inputs.spec()).replace("a small one", "half of a pair: \\ud800")
        problem_of(await service.http.post("/v1/jobs", content=body), ProblemType.INVALID_VALUE)


async def test_several_wrong_keys_are_all_named(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        spec = inputs.spec(colour="red", precision="fp8")
        answer = await service.http.post("/v1/jobs", json=spec)
        assert {error["key"] for error in answer.json()["errors"]} == {"colour", "precision"}


@pytest.mark.parametrize("way", ["..", "link", "link inside"])
async def test_no_way_leads_out_of_the_allowed_roots(
    run_service: Any, inputs: Any, tmp_path: Path, way: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in (inputs.folder / "other").iterdir():
        (outside / file.name).write_bytes(file.read_bytes())
    inside = inputs.folder / "way"
    match way:
        case "..":
            inside = inputs.folder / "start" / ".." / ".." / "outside"
        case "link":
            inside.symlink_to(outside)
        case "link inside":
            inside.mkdir()
            (inside / "config.json").symlink_to(outside / "config.json")
            (inside / "model.safetensors").symlink_to(outside / "model.safetensors")
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", json=inputs.spec(y={"toward": str(inside)}))
        assert problem_of(answer, ProblemType.PATH_NOT_ALLOWED).key == "y.toward"


async def test_a_link_within_the_roots_is_resolved(run_service: Any, inputs: Any) -> None:
    (inputs.folder / "alias").symlink_to(inputs.folder / "other")
    async with run_service() as service:
        job = await service.submit(inputs.spec(y={"toward": str(inputs.folder / "alias")}))
        assert job["spec"]["y"] == {"toward": str(inputs.folder / "other")}


async def test_checkpoints_that_do_not_fit_together(run_service: Any, inputs: Any) -> None:
    config = inputs.folder / "other" / "config.json"
    config.write_text(config.read_text().replace('"vocab_size": 9', '"vocab_size": 10'))
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", json=inputs.spec())
        assert problem_of(answer, ProblemType.CHECKPOINT_MISMATCH).key == "y.toward"


async def test_the_limit_of_points_is_a_setting(run_service: Any, inputs: Any) -> None:
    async with run_service(limits=Limits(points=11)) as service:
        answer = await service.http.post("/v1/jobs", json=inputs.spec())
        problem = problem_of(answer, ProblemType.LIMIT_EXCEEDED)
        assert "12" in problem.detail
        assert "at most 11 points" in problem.detail


async def test_a_surface_comes_with_a_strong_tag(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.tiles_to_run = 0
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        path = f"/v1/jobs/{job['id']}/surface"
        await service.until(lambda job: job["state"] == "running", job["id"])
        problem_of(await service.http.get(path), ProblemType.SURFACE_NOT_READY)
        script.tiles_to_run = 1
        service.link.say(service.link.result(service.link.held.pop()))
        await service.until(lambda job: job["tiles_done"] > 0, job["id"])
        await service.settled()
        first, again = await service.http.get(path), await service.http.get(path)
        assert first.headers["Content-Type"] == "application/x-hdf5"
        assert first.content[:4] == b"\x89HDF"
        assert re.fullmatch(r'"[0-9a-f]{64}"', first.headers["ETag"])
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.content == first.content
        service.link.release()
        await service.ended(job["id"])
        assert (await service.http.get(path)).headers["ETag"] != first.headers["ETag"]


async def test_cancelling_twice_is_fine_and_after_the_end_is_not(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.starts = False
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        for _ in range(2):
            answer = await service.http.post(f"/v1/jobs/{job['id']}:cancel")
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    script.starts = True
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.ended(job["id"])
        answer = await service.http.post(f"/v1/jobs/{job['id']}:cancel")
        assert "completed" in problem_of(answer, ProblemType.JOB_NOT_ACTIVE).detail


async def test_workers_and_their_cluster(run_service: Any, inputs: Any, script: Any) -> None:
    script.workers, script.tiles_to_run = 1, 0
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["state"] == "running", job["id"])
        await service.settled()
        answer = (await service.http.get("/v1/workers")).json()
        (told,) = service.link.told(RunTile)
        assert answer["workers"] == [
            {"id": "w-1", "state": "busy", "device": "a CPU", "job": job["id"], "tile": told.tile}
        ]
        assert answer["cluster"]["ray_version"] == "2.60.0"


async def test_health_and_readiness(run_service: Any, script: Any) -> None:
    script.workers = 0
    async with run_service(script) as service:
        health = await service.http.get("/healthz")
        assert health.json().keys() == {"process", "database", "version"}
        not_ready = await service.http.get("/readyz")
        problem_of(not_ready, ProblemType.UNAVAILABLE)
        assert int(not_ready.headers["Retry-After"]) > 0
    script.workers = 1
    async with run_service(script) as service:
        async with asyncio.timeout(30):
            while (await service.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.01)


async def test_a_fault_of_ours_tells_nothing_of_its_inside(
    run_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run_service() as service:

        def broken(*_: object) -> None:
            raise RuntimeError("the secret of line 7")

        monkeypatch.setattr(service.coordinator.journal, "jobs", broken)
        answer = await service.http.get("/v1/jobs")
        problem_of(answer, ProblemType.INTERNAL)
        assert "secret" not in answer.text


async def test_events_begin_with_the_job_and_end_with_its_end(
    run_service: Any, inputs: Any, script: Any
) -> None:
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        answer = await service.http.get(f"/v1/jobs/{job['id']}/events")
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = [
            json.loads(event.split("data: ", 1)[1])
            for event in answer.text.split("\n\n")
            if event.startswith("event: job\n")
        ]
        assert events[-1]["state"] == "completed"
        done = [event["points_done"] for event in events]
        assert done == sorted(done)
        again = await service.http.get(f"/v1/jobs/{job['id']}/events")
        assert again.text.count("event: job") == 1


async def test_a_silent_stream_is_kept_alive_and_ends_with_the_service(
    run_service: Any, inputs: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_alive = asyncio.Event()

    def noted(**parts: Any) -> bytes:
        if "comment" in parts:
            kept_alive.set()
        return format_sse_event(**parts)

    monkeypatch.setattr("bertscape_service.rest.api.format_sse_event", noted)
    script.starts = False
    async with run_service(script, keep_alive_s=0.01) as service:
        job = await service.submit(inputs.spec())
        stream = asyncio.create_task(service.http.get(f"/v1/jobs/{job['id']}/events"))
        await kept_alive.wait()
        service.coordinator.end_streams()
        answer = await stream
        assert answer.text.count("event: job") == 1
        assert ": keep-alive\n\n" in answer.text


async def test_every_route_is_described(run_service: Any) -> None:
    async with run_service() as service:
        paths = (await service.http.get("/openapi.json")).json()["paths"]
        assert {(method, path) for path, methods in paths.items() for method in methods} == {
            ("post", "/v1/jobs"),
            ("post", "/v1/jobs:estimate"),
            ("get", "/v1/jobs"),
            ("get", "/v1/jobs/{job_id}"),
            ("post", "/v1/jobs/{job_id}:cancel"),
            ("get", "/v1/jobs/{job_id}/surface"),
            ("get", "/v1/jobs/{job_id}/events"),
            ("get", "/v1/workers"),
            ("get", "/healthz"),
            ("get", "/readyz"),
        }
        schema = paths["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert {key for kind in schema["oneOf"] for key in kind["properties"]} >= {
            *("grid", "training", "data")
        }


async def test_every_answer_is_described(run_service: Any) -> None:
    async with run_service() as service:
        document = (await service.http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    answers = {
        (method, path): operation["responses"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    for route, responses in answers.items():
        for status, response in responses.items():
            assert response["description"] not in ("", "Successful Response") or status[0] == "2"
            for media_type, content in response.get("content", {}).items():
                assert content["schema"], (route, status)
                assert (media_type == "application/problem+json") == (status >= "400")
        stated = {"500", "503", "421"} | ({"401"} if route[1].startswith("/v1") else set())
        assert stated <= set(responses), route
    models = {
        route: responses["202" if "202" in responses else "200"]["content"]
        for route, responses in answers.items()
    }
    assert {route: next(iter(content)) for route, content in models.items()} == {
        **dict.fromkeys(models, "application/json"),
        ("get", "/v1/jobs/{job_id}/surface"): "application/x-hdf5",
        ("get", "/v1/jobs/{job_id}/events"): "text/event-stream",
    }
    job = {"$ref": "#/components/schemas/JobStatus"}
    assert models["get", "/v1/jobs/{job_id}"]["application/json"]["schema"] == job
    assert schemas["JobsPage"]["properties"]["jobs"]["items"] == job
    assert set(schemas["ProblemDocument"]["required"]) == {"type", "title", "status", "detail"}


async def test_answers_are_what_their_models_say(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        job = await service.submit(inputs.spec())
        await service.ended(job["id"])
        http = service.http
        shown = (await http.get(f"/v1/jobs/{job['id']}")).json()
        page = (await http.get("/v1/jobs")).json()
        assert JobStatus.model_validate(shown).to_json() == shown
        assert JobsPage.model_validate(page, extra="forbid").jobs[0].to_json() == shown
        for path, model in (
            ("/v1/workers", WorkersStatus),
            ("/healthz", Health),
            ("/readyz", Readiness),
        ):
            answer = (await http.get(path)).json()
            assert model.model_validate(answer, extra="forbid").model_dump() == answer
        problem = (await http.get("/v1/jobs/nowhere")).json()
        assert ProblemDocument.model_validate(problem, extra="forbid").model_dump(
            exclude_none=True
        ) == (problem)


async def test_the_tile_size_is_that_of_the_submission(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.starts = False
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
    script.starts = True
    async with run_service(script, tile_points=5) as service:
        assert (await service.ended(job["id"]))["tiles_total"] == 6
        other = await service.submit(inputs.spec())
        assert other["tiles_total"] == 3
