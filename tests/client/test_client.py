"""The client against a service in this process: retries, problems, events, downloads."""

import email.utils
import itertools
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import yaml
from hypothesis import given, strategies as st

from bertscape import (
    Client,
    InvalidInput,
    Job,
    JobFailed,
    Problem,
    ProblemType,
    Retries,
    Rollback,
    Run,
    SelfCheckWarning,
    ServiceError,
    ServiceUnreachable,
    Surface,
    SurfaceFileError,
    parse_spec,
)
from bertscape.http.retries import seconds_to_wait
from bertscape.results import result_bytes
from bertscape.values import GroupFound

SPEC = {
    "kind": "curve",
    "model": {"pretrained": "a/checkpoint-0", "finetuned": "/runs/checkpoint-8"},
    "data": {"train": {"path": "train.tsv"}, "eval": {"path": "dev.tsv"}, "text": "sentence"},
}


def job_object(state: str = "running", done: int = 3, **more: Any) -> dict[str, Any]:
    return {"id": "j1", "state": state, "points_total": 9, "points_done": done, **more}


def ok(**more: Any) -> httpx2.Response:
    return httpx2.Response(200, json=job_object(**more))


def problem(kind: ProblemType, detail: str = "no", **headers: str) -> httpx2.Response:
    return httpx2.Response(
        kind.status,
        json=Problem(kind, detail).to_json(),
        headers={"Content-Type": "application/problem+json", **headers},
    )


class Stream(httpx2.SyncByteStream):
    """Chunks of an answer; an exception among them breaks the connection there."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


def events(*chunks: bytes | Exception) -> httpx2.Response:
    return httpx2.Response(
        200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, stream=Stream(*chunks)
    )


def event(**more: Any) -> bytes:
    return f"event: job\ndata: {json.dumps(job_object(**more))}\n\n".encode()


class Service:
    """Answers requests from a script, one step a request, and remembers both and the pauses."""

    def __init__(self, *script: httpx2.Response | Exception) -> None:
        self._script = iter(script)
        self.requests: list[httpx2.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        step = next(self._script)
        if isinstance(step, Exception):
            raise step
        return step

    def client(self, **options: Any) -> Client:
        clock = itertools.accumulate(itertools.chain([0.0], iter(lambda: 0.0, None)))
        retries = Retries(sleep=self.pauses.append, clock=lambda: sum(self.pauses) + next(clock))
        return Client(
            "http://service",
            **{"transport": httpx2.MockTransport(self), "retries": retries, **options},
        )

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertscape.http.job.POLL_S", (0.0, 0.0))
    monkeypatch.delenv("BERTSCAPE_URL", raising=False)
    monkeypatch.delenv("BERTSCAPE_TOKEN", raising=False)


# --------------------------------------------------------------------------------- submitting


def test_submit_sends_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    service = Service(ok(state="queued"))
    job = service.client().submit(SPEC)
    sent = json.loads(service.requests[0].content)
    assert sent["model"]["pretrained"] == str(tmp_path / "a/checkpoint-0")
    assert sent["data"]["eval"]["path"] == str(tmp_path / "dev.tsv")
    assert (job.id, job.state, service.paths) == ("j1", "queued", ["POST /v1/jobs"])


def test_submit_reads_a_file_against_its_folder(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    service = Service(ok())
    service.client().submit(tmp_path / "spec.yaml")
    sent = json.loads(service.requests[0].content)
    assert sent["data"]["train"]["path"] == str(tmp_path / "train.tsv")


def test_retries_share_one_idempotency_key() -> None:
    service = Service(
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        problem(ProblemType.UNAVAILABLE),
        httpx2.Response(502, text="bad gateway"),
        ok(),
    )
    client = service.client()
    client.submit(SPEC)
    keys = {request.headers["Idempotency-Key"] for request in service.requests}
    assert len(service.requests) == 6
    assert len(keys) == 1


def test_each_submission_has_its_own_key() -> None:
    service = Service(ok(), ok(), ok())
    client = service.client()
    client.submit(SPEC)
    client.submit(SPEC)
    client.submit(SPEC, idempotency_key="mine")
    keys = [request.headers["Idempotency-Key"] for request in service.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


@pytest.mark.parametrize("key", ["", "é", "a\nb", "x" * 256])
def test_a_key_that_no_header_holds_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="idempotency key"):
        Service().client().submit(SPEC, idempotency_key=key)


def test_a_wrong_spec_is_refused_before_any_request() -> None:
    service = Service()
    with pytest.raises(InvalidInput, match="colour"):
        service.client().submit({**SPEC, "colour": "red"})
    assert service.requests == []


# ------------------------------------------------------------------------------------ retries


def test_pauses_grow_with_jitter() -> None:
    service = Service(*[httpx2.ConnectError("refused")] * 6)
    with pytest.raises(ServiceUnreachable, match=r"http://service after 6 tries \(refused\)"):
        service.client().job("j1")
    for index, pause in enumerate(service.pauses):
        assert 0.125 * 2**index <= pause <= 0.25 * 2**index
    assert len(service.pauses) == 5


def test_honours_retry_after_in_seconds() -> None:
    service = Service(problem(ProblemType.UNAVAILABLE, **{"Retry-After": "7"}), ok())
    service.client().job("j1")
    assert service.pauses == [7.0]


def test_honours_retry_after_as_a_date() -> None:
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    service = Service(httpx2.Response(429, headers={"Retry-After": date}), ok())
    service.client().job("j1")
    assert 1 < service.pauses[0] <= 50  # our own first pause is at most a quarter of a second


def test_a_retry_after_beyond_the_bound_ends_the_tries() -> None:
    service = Service(problem(ProblemType.UNAVAILABLE, "busy", **{"Retry-After": "61"}))
    with pytest.raises(ServiceError, match="busy") as caught:
        service.client().job("j1")
    assert caught.value.status == 503
    assert service.pauses == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("-3", None),
        ("soon", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
    ],
)
def test_reads_retry_after(text: str | None, seconds: float | None) -> None:
    now = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert seconds_to_wait(text, now) == seconds


@given(failures=st.integers(1, 10_000), retry_after=st.none() | st.floats(0, 1e6))
def test_every_pause_is_bounded(failures: int, retry_after: float | None) -> None:
    pause = Retries().pause(failures, retry_after)
    assert (retry_after or 0) <= pause <= max(8.0, retry_after or 0)


@pytest.mark.parametrize(
    "kind",
    [ProblemType.INVALID_VALUE, ProblemType.UNAUTHORIZED, ProblemType.JOB_NOT_FOUND],
)
def test_other_refusals_are_not_retried(kind: ProblemType) -> None:
    service = Service(problem(kind, "because"))
    with pytest.raises(ServiceError, match="because") as caught:
        service.client().job("j1")
    assert caught.value.problem == Problem(kind, "because")
    assert caught.value.status == kind.status
    assert not isinstance(caught.value, ServiceUnreachable)


# ----------------------------------------------------------------------------- strange answers


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (httpx2.Response(404, text="<h1>nothing</h1>"), ProblemType.NOT_FOUND, "status 404: '<h1>"),
        (httpx2.Response(500), ProblemType.INTERNAL, "status 500; expected a bertscape service"),
        (httpx2.Response(301, headers={"Location": "/"}), ProblemType.INTERNAL, "status 301"),
        (httpx2.Response(200, text="hello"), ProblemType.INTERNAL, "no JSON object: 'hello'"),
        (httpx2.Response(200, json=[1]), ProblemType.INTERNAL, "no JSON object"),
        (httpx2.Response(200, json={"id": "x"}), ProblemType.INTERNAL, "expected a job object"),
        (
            httpx2.Response(400, text="{", headers={"Content-Type": "application/problem+json"}),
            ProblemType.MALFORMED_REQUEST,
            "status 400",
        ),
        (
            httpx2.Response(409, json=3, headers={"Content-Type": "application/problem+json"}),
            ProblemType.INTERNAL,
            "status 409",
        ),
    ],
)
def test_answers_that_are_no_problem_documents(
    answer: httpx2.Response, kind: ProblemType, message: str
) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        Service(answer).client().job("j1")
    assert caught.value.problem.type is kind


# --------------------------------------------------------------------------- address and token


@pytest.mark.parametrize(
    "url", [" ", "service:8000", "ftp://service", "http://", "http://host:port", 3]
)
def test_a_wrong_address_is_refused(url: Any) -> None:
    with pytest.raises(InvalidInput, match="url: "):
        Client(url)


@pytest.mark.parametrize("token", ["a b", "é", "x\r\nHost: y"])
def test_a_wrong_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidInput, match="token: ") as caught:
        Client(token=token)
    assert token not in str(caught.value)


def test_environment_gives_address_and_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTSCAPE_URL", "http://elsewhere:9")
    monkeypatch.setenv("BERTSCAPE_TOKEN", "secret")
    service = Service(ok())
    with Client(transport=httpx2.MockTransport(service)) as client:
        client.job("j1")
    assert str(service.requests[0].url) == "http://elsewhere:9/v1/jobs/j1"
    assert service.requests[0].headers["Authorization"] == "Bearer secret"
    assert service.requests[0].headers["User-Agent"].startswith("bertscape/")


def test_a_job_id_stays_one_segment_of_the_path() -> None:
    service = Service(ok())
    service.client().job("a/../../b?c#d")
    assert service.requests[0].url.raw_path == b"/v1/jobs/a%2F..%2F..%2Fb%3Fc%23d"


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_an_id_that_is_no_segment_is_refused(job_id: str) -> None:
    with pytest.raises(InvalidInput, match="the id of a job"):
        Service().client().job(job_id)


# ------------------------------------------------------------------------------------- listing


def test_jobs_follows_the_pages() -> None:
    pages = [
        httpx2.Response(200, json={"jobs": [job_object(), job_object()], "next": "c1"}),
        httpx2.Response(200, json={"jobs": [job_object()], "next": None}),
    ]
    service = Service(*pages)
    assert len(list(service.client().jobs())) == 3
    assert [request.url.params.get("after") for request in service.requests] == [None, "c1"]


def test_workers_and_health() -> None:
    worker = {"id": "w1", "state": "idle"}
    service = Service(
        httpx2.Response(200, json={"workers": [worker]}),
        httpx2.Response(200, json={"status": "ok"}),
        httpx2.Response(200, json={"crew": []}),
    )
    client = service.client()
    assert client.workers() == [worker]
    assert client.health() == {"status": "ok"}
    with pytest.raises(ServiceError, match="without a list 'workers'"):
        client.workers()


# ----------------------------------------------------------------------------------- cancelling


def test_cancel() -> None:
    service = Service(ok(), httpx2.Response(202, json=job_object("cancelled")))
    assert service.client().job("j1").cancel().state == "cancelled"
    assert service.paths[1] == "POST /v1/jobs/j1:cancel"


@pytest.mark.parametrize(("state", "fails"), [("cancelled", False), ("completed", True)])
def test_cancel_of_what_has_ended(state: str, fails: bool) -> None:
    service = Service(ok(), problem(ProblemType.JOB_NOT_ACTIVE, "ended"), ok(state=state))
    job = service.client().job("j1")
    if fails:
        with pytest.raises(ServiceError, match="ended"):
            job.cancel()
    else:
        assert job.cancel().state == "cancelled"


# -------------------------------------------------------------------------------------- waiting


def waiting(*script: httpx2.Response | Exception) -> tuple[Service, Job]:
    service = Service(ok(state="queued", done=0), *script)
    return service, service.client().job("j1")


def test_wait_listens_to_events() -> None:
    _, job = waiting(events(b": hello\n\n", event(done=3), event(state="completed", done=9)))
    assert job.wait(progress=False) is job
    assert (job.state, job.status.points_done) == ("completed", 9)


def test_an_event_may_come_in_pieces() -> None:
    data = event(state="completed", done=9)
    _, job = waiting(events(*[data[i : i + 3] for i in range(0, len(data), 3)]))
    assert [status.state for status in job.events()] == ["completed"]


def test_wait_connects_again_after_a_loss() -> None:
    service, job = waiting(
        events(event(done=3), httpx2.ReadError("reset")),
        ok(done=4),
        httpx2.ConnectError("refused"),
        ok(done=4),
        events(event(done=5)),  # ends without a final state
        ok(done=6),
        events(event(state="completed", done=9)),
    )
    assert [status.points_done for status in job.events()] == [3, 4, 5, 6, 9]
    assert service.paths.count("GET /v1/jobs/j1/events") == 4


@pytest.mark.parametrize(
    "answer",
    [httpx2.Response(404, text="no"), httpx2.Response(200, text="no stream"), httpx2.Response(405)],
)
def test_wait_polls_where_there_are_no_events(answer: httpx2.Response) -> None:
    service, job = waiting(answer, ok(done=1), ok(done=1), ok(done=5), ok(state="completed"))
    assert [status.points_done for status in job.events()] == [1, 5, 3]
    assert service.paths.count("GET /v1/jobs/j1/events") == 1


def test_wait_survives_a_restart_of_minutes() -> None:
    service, job = waiting(*[httpx2.ConnectError("refused")] * 30, ok(state="completed"))
    job.wait(progress=False)
    assert 100 < sum(service.pauses) < 300


def test_wait_ends_where_the_service_stays_away() -> None:
    service, job = waiting(*[httpx2.ConnectError("refused")] * 100)
    with pytest.raises(ServiceUnreachable):
        job.wait(progress=False)
    assert sum(service.pauses) <= 300


def test_wait_raises_what_failed() -> None:
    error = Problem(ProblemType.INVALID_DATA, "line 3: two columns", key="data.train.path")
    _, job = waiting(events(event(state="failed", error=error.to_json())))
    with pytest.raises(JobFailed, match="job j1 failed: line 3: two columns") as caught:
        job.wait(progress=False)
    assert caught.value.job_id == "j1"
    assert caught.value.state == "failed"
    assert caught.value.problem.key == "data.train.path"


def test_wait_raises_when_cancelled() -> None:
    _, job = waiting(events(event(state="cancelled")))
    with pytest.raises(JobFailed, match="job j1 was cancelled") as caught:
        job.wait(progress=False)
    assert caught.value.state == "cancelled"


@pytest.mark.parametrize("kind", [ProblemType.JOB_NOT_FOUND, ProblemType.UNAUTHORIZED])
def test_wait_ends_where_the_service_refuses(kind: ProblemType) -> None:
    _, job = waiting(problem(kind, "refused"))
    with pytest.raises(ServiceError, match="refused"):
        job.wait(progress=False)


def test_comments_do_not_outlast_the_time_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(step=10.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    _, job = waiting(events(*[b": still here\n\n"] * 50))
    with pytest.raises(TimeoutError, match="job j1 is still queued"):
        job.wait(progress=False, timeout=100)


def test_wait_warns_of_a_failed_self_check() -> None:
    check = {"checkpoint": "finetuned", "passed": False, "alpha": 1.0, "beta": 0.0}
    _, job = waiting(events(event(state="completed", self_checks=[check])))
    with pytest.warns(SelfCheckWarning, match=r"FAILED at finetuned \(α = 1, β = 0\)"):
        job.wait(progress=False)


def test_an_event_that_is_no_job_is_an_error() -> None:
    _, job = waiting(events(b"event: job\ndata: [1]\n\n"))
    with pytest.raises(ServiceError, match="expected a job object"):
        job.wait(progress=False)


# ---------------------------------------------------------------------------------- downloading


@pytest.fixture
def content(make_surface: Callable[..., Any]) -> bytes:
    return result_bytes(make_surface(holes=(0,)))


def download(*chunks: bytes | Exception) -> httpx2.Response:
    return httpx2.Response(
        200, headers={"Content-Type": "application/x-hdf5"}, stream=Stream(*chunks)
    )


def test_surface_also_while_it_runs(content: bytes) -> None:
    service = Service(ok(), download(content))
    surface = service.client().job("j1").surface()
    assert not surface.complete
    assert surface.spec.name == "bowl"


def test_surface_warns_of_a_failed_self_check(make_surface: Callable[..., Any]) -> None:
    service = Service(ok(), download(result_bytes(make_surface(passed=False))))
    with pytest.warns(SelfCheckWarning, match=r"train loss 0\.2, plain model 0\.1"):
        service.client().job("j1").surface()


@pytest.fixture
def rollback_content(make_surface: Callable[..., Any]) -> bytes:
    spec = parse_spec({**SPEC, "kind": "rollback", "groups": ["all"]})
    moved = GroupFound(layers=None, x_norm=7.25, y_norm=None)
    found = make_surface("curve").findings.model_copy(update={"groups": (moved,)})
    return result_bytes(Rollback(spec, found, np.ones((16, 2)), np.ones(2, np.uint8), Run()))


def test_the_result_of_a_job_is_whatever_its_kind_gives(
    content: bytes, rollback_content: bytes
) -> None:
    service = Service(ok(), download(content), ok(), download(rollback_content))
    client = service.client()
    assert isinstance(client.job("j1").result(), Surface)
    result = client.job("j2").result()
    assert isinstance(result, Rollback)
    assert result.groups == ("none", "all")


def test_a_rollback_is_no_surface(rollback_content: bytes) -> None:
    service = Service(ok(), download(rollback_content))
    with pytest.raises(SurfaceFileError, match="read_result"):
        service.client().job("j1").surface()


def test_fetch_starts_again_after_a_loss(content: bytes, tmp_path: Path) -> None:
    half = len(content) // 2
    service = Service(
        ok(),
        download(b"\0" * (len(content) + 9), httpx2.ReadError("reset")),
        problem(ProblemType.UNAVAILABLE),
        download(content[:half], content[half:]),
    )
    path = service.client().job("j1").fetch(tmp_path / "a.h5")
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_fetch_leaves_the_old_file_where_it_fails(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    service = Service(ok(), problem(ProblemType.SURFACE_NOT_READY, "no tile is done yet"))
    with pytest.raises(ServiceError, match="no tile is done yet"):
        service.client().job("j1").fetch(tmp_path / "a.h5")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.h5", b"old")]
