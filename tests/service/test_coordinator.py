"""Jobs from submission to their end, through losses and restarts, with played workers."""

import asyncio
import threading
from collections import Counter
from typing import Any

import h5py
import numpy as np
import pytest

from bertscape.values import Problem, ProblemType
from bertscape_service.coordination import coordinator as coordinator_module, endings
from bertscape_service.ray_cluster import DescribeJob, WorkProgress
from bertscape_service.scheduling import (
    ArraysLost,
    DropJob,
    PrepareJob,
    RunTile,
    TileFailed,
    WorkerDied,
)

pytestmark = pytest.mark.anyio


def datasets(service: Any, job_id: str) -> dict[str, bytes]:
    """Every dataset of the published file, but for those of its run."""
    (path,) = service.state.surfaces.glob(f"{job_id}.*.h5")
    found: dict[str, bytes] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("run/"):
            found[name] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def attempts(service: Any, job_id: str) -> list[tuple[int | None, int, str]]:
    rows = service.coordinator.journal.results(job_id).attempts
    return [(row.tile, row.attempt, row.outcome.value) for row in rows]


async def test_a_job_runs_to_its_end(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        job = await service.submit(inputs.spec())
        assert (job["state"], job["tiles_total"], job["points_total"]) == ("queued", 6, 12)
        ended = await service.ended(job["id"])
        assert (ended["state"], ended["points_done"], ended["tiles_done"]) == ("completed", 12, 6)
        assert ended["error"] is None
        assert ended["workers"] == 0
        assert ended["self_checks"][0]["found"][3] == "NaN"
        assert ended["self_checks"][0]["found"][7] == "Infinity"
        order = [type(m) for m in service.link.sent if getattr(m, "job_id", None) == job["id"]]
        assert order[:2] == [DescribeJob, PrepareJob]
        assert Counter(order) == {DescribeJob: 1, PrepareJob: 1, RunTile: 6, DropJob: 1}
        assert "train_loss" in datasets(service, job["id"])


async def test_pins_are_committed_before_the_first_tile(
    run_service: Any, inputs: Any, script: Any
) -> None:
    pinned: list[bool] = []
    async with run_service(script) as service:

        def look(message: object) -> None:
            if isinstance(message, RunTile):
                pinned.append(service.coordinator.journal.job(message.job_id).findings is not None)

        script.on_sent = look
        job = await service.submit(inputs.spec())
        await service.ended(job["id"])
    assert len(pinned) == 6
    assert all(pinned)


async def test_nothing_is_shown_before_its_commit(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.workers, script.tiles_to_run = 1, 0
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["state"] == "running", job["id"])
        go = threading.Event()
        blocked = service.writer.submit(lambda _: go.wait(30), lasting=False)
        script.tiles_to_run = 1
        first = service.link.held.pop()
        service.link.say(service.link.result(first))
        script.tiles_to_run = 0
        async with asyncio.timeout(30):
            while not service.link.held:  # the next tile is on its way before the commit
                await asyncio.sleep(0.01)
        seen = await service.job(job["id"])
        assert (seen["tiles_done"], seen["points_done"]) == (0, 0)
        assert (await service.http.get(f"/v1/jobs/{job['id']}/surface")).status_code == 409
        go.set()
        assert blocked.result(30)
        await service.until(lambda job: job["tiles_done"] == 1, job["id"])


async def test_completed_is_said_after_publication(
    run_service: Any, inputs: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(endings, "PUBLISH_AGAIN_S", 0.0)
    async with run_service() as service:
        states: list[str] = []
        publish = service.coordinator.publication.publish

        def refuse(job_id: str) -> Any:
            states.append(service.coordinator.journal.job(job_id).state.value)
            if len(states) < 3:
                raise OSError("no space left")
            return publish(job_id)

        monkeypatch.setattr(service.coordinator.publication, "publish", refuse)
        job = await service.submit(inputs.spec())
        assert (await service.ended(job["id"]))["state"] == "completed"
    assert states == ["running", "running", "running"]
    assert "waits for the disk: no space left" in caplog.text


async def test_a_restart_computes_only_what_is_missing(
    run_service: Any, inputs: Any, make_script: Any
) -> None:
    async with run_service() as service:
        undisturbed = await service.submit(inputs.spec())
        await service.ended(undisturbed["id"])
        expected = datasets(service, undisturbed["id"])
    async with run_service(make_script(tiles_to_run=2)) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        done = {row.tile for row in service.coordinator.journal.results(job["id"]).tiles}
    async with run_service(make_script(starts=False)) as service:
        await service.until(lambda job: job["state"] == "queued", job["id"])
    async with run_service() as service:
        ended = await service.ended(job["id"])
        assert (ended["state"], ended["tiles_done"]) == ("completed", 6)
        computed = {m.tile for m in service.link.told(RunTile)}
        assert computed == set(range(6)) - done
        assert datasets(service, job["id"]) == expected
        again = Counter(tile for tile, _, _ in attempts(service, job["id"]) if tile is not None)
        assert again == dict.fromkeys(range(6), 1)


async def test_unfinished_jobs_go_on_in_their_order(
    run_service: Any, inputs: Any, make_script: Any
) -> None:
    async with run_service(make_script(starts=False)) as service:
        jobs = [(await service.submit(inputs.spec(name=name)))["id"] for name in "abc"]
        assert (await service.http.get("/readyz")).status_code == 503
    async with run_service(make_script(workers=1)) as service:
        for job_id in jobs:
            assert (await service.ended(job_id))["state"] == "completed"
        assert [m.job_id for m in service.link.told(PrepareJob)] == jobs


async def test_a_job_whose_last_tile_came_just_before_the_end_completes_after_it(
    run_service: Any, inputs: Any, make_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run_service() as service:
        monkeypatch.setattr(coordinator_module, "LAST_WORK_S", 0.0)

        def refuse(_: str) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(service.coordinator.publication, "publish", refuse)
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 6, job["id"])
        assert (await service.job(job["id"]))["state"] == "running"
    async with run_service(make_script(starts=False)) as service:
        assert (await service.ended(job["id"]))["state"] == "completed"


async def test_an_input_that_changed_fails_the_job_and_is_named(
    run_service: Any, inputs: Any, make_script: Any, find: Any
) -> None:
    async with run_service(make_script(tiles_to_run=2)) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        checkpoints = dict(service.coordinator.journal.job(job["id"]).findings.checkpoints)
    changed = checkpoints["finetuned"].model_copy(update={"sha256": "another sha"})
    script = make_script(changes={"checkpoints": {**checkpoints, "finetuned": changed}})
    async with run_service(script) as service:
        ended = await service.ended(job["id"])
        assert ended["state"] == "failed"
        error = Problem.from_json(ended["error"])
        assert error.type is ProblemType.INPUT_CHANGED
        assert error.key == "model.finetuned"
        assert str(inputs.folder / "end") in error.detail
        assert service.link.told(RunTile) == []
        assert ended["tiles_done"] == 2
        assert (await service.http.get(f"/v1/jobs/{job['id']}/surface")).status_code == 200
        other = await service.submit(inputs.spec())  # the worker is free for the next one
        assert (await service.ended(other["id"]))["state"] == "completed"


@pytest.mark.parametrize(
    ("change", "key", "named"),
    [
        ({"torch": "2.14.0"}, "torch", "'2.14.0'"),
        ({"threads": 2}, "threads", "2"),
        ({"delta1_norm": float("nan")}, "delta1_norm", "'NaN'"),
    ],
)
async def test_anything_else_that_changed_fails_the_job_too(
    run_service: Any, inputs: Any, make_script: Any, change: Any, key: str, named: str
) -> None:
    async with run_service(make_script(tiles_to_run=1)) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 1, job["id"])
    async with run_service(make_script(changes=change)) as service:
        ended = await service.ended(job["id"])
        error = Problem.from_json(ended["error"])
        assert (error.type, error.key) == (ProblemType.INPUT_CHANGED, key)
        assert named in error.detail


async def test_a_tile_that_fails_three_times_fails_the_job(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.failures[2] = 3
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        ended = await service.ended(job["id"])
        assert ended["state"] == "failed"
        error = Problem.from_json(ended["error"])
        assert error.type is ProblemType.TILE_FAILED
        assert error.detail.startswith("tile 2 (α, β = (")
        assert "failed 3 times; the last error: the evaluator broke" in error.detail
        tries = [row for row in attempts(service, job["id"]) if row[0] == 2]
        assert tries == [(2, 1, "failed"), (2, 2, "failed"), (2, 3, "failed")]
        assert ended["tiles_done"] > 0
        surface = await service.http.get(f"/v1/jobs/{job['id']}/surface")
        assert surface.status_code == 200


async def test_failed_attempts_count_across_a_restart(
    run_service: Any, inputs: Any, make_script: Any
) -> None:
    async with run_service(make_script(failures=Counter({0: 2}), tiles_to_run=0)) as service:
        job = await service.submit(inputs.spec())

        async def failed_twice() -> bool:
            return attempts(service, job["id"]).count((0, 2, "failed")) == 1

        from_now = asyncio.get_running_loop().time()
        while not await failed_twice():
            assert asyncio.get_running_loop().time() < from_now + 30
            await asyncio.sleep(0.01)
    async with run_service(make_script(failures=Counter({0: 1}))) as service:
        ended = await service.ended(job["id"])
        assert ended["state"] == "failed"
        assert "failed 3 times" in ended["error"]["detail"]


async def test_a_lost_dispatcher_is_replaced_and_costs_no_attempt(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.tiles_to_run = 2
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        first, in_flight = service.link, {i.tile for i in service.link.held}
        assert len(in_flight) == 2
        script.tiles_to_run = None
        first.lose("it was killed")
        ended = await service.ended(job["id"])
        assert ended["state"] == "completed"
        assert len(service.links) == 2
        assert first.stopped
        again = [m for m in service.link.sent if getattr(m, "job_id", None) == job["id"]]
        assert isinstance(again[0], DescribeJob)
        assert {m.tile for m in service.link.told(RunTile)} >= in_flight
        assert len(service.link.told(RunTile)) == 4
        lost = {tile for tile, _, outcome in attempts(service, job["id"]) if outcome == "lost"}
        assert lost == in_flight
        firsts = [row for row in attempts(service, job["id"]) if row[2] == "done"]
        assert {attempt for _, attempt, _ in firsts} == {1}


@pytest.mark.parametrize(("counts", "outcome"), [(True, "failed"), (False, "lost")])
async def test_a_dead_worker_is_an_attempt_unless_its_node_died(
    run_service: Any, inputs: Any, script: Any, counts: bool, outcome: str
) -> None:
    script.workers, script.tiles_to_run = 1, 0
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(
            lambda job: job["workers"] == 1 and job["state"] == "running", job["id"]
        )
        (held,) = service.link.held
        script.tiles_to_run = None
        service.link.say(WorkerDied(held.worker_id, "killed", counts))
        await service.ended(job["id"])
        tries = [row[1:] for row in attempts(service, job["id"]) if row[0] == held.tile]
        assert tries == [(1, outcome), (2 if counts else 1, "done")]


async def test_lost_arrays_are_prepared_again(run_service: Any, inputs: Any, script: Any) -> None:
    script.workers, script.tiles_to_run = 1, 0
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["state"] == "running", job["id"])
        await service.settled()
        (held,) = service.link.held
        script.tiles_to_run = None
        service.link.say(ArraysLost(job["id"], held.worker_id))
        assert (await service.ended(job["id"]))["state"] == "completed"
        assert len(service.link.told(PrepareJob)) == 2
        tries = [row[1:] for row in attempts(service, job["id"]) if row[0] == held.tile]
        assert tries == [(1, "lost"), (1, "done")]


async def test_bad_input_found_while_preparing_fails_the_job_as_it_was_found(
    run_service: Any, inputs: Any, script: Any
) -> None:
    problem = Problem(
        ProblemType.INVALID_DATA, "line 3: two columns; expected three", key="data.train"
    )
    script.refusals.append((problem, True))
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        ended = await service.ended(job["id"])
        assert ended["state"] == "failed"
        assert Problem.from_json(ended["error"]) == problem
        assert (await service.http.get(f"/v1/jobs/{job['id']}/surface")).status_code == 409


async def test_preparing_is_tried_three_times(run_service: Any, inputs: Any, script: Any) -> None:
    problem = Problem(ProblemType.PREPARING_FAILED, "the hub does not answer")
    script.refusals.extend([(problem, False)] * 3)
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        error = Problem.from_json((await service.ended(job["id"]))["error"])
        assert error.type is ProblemType.PREPARING_FAILED
        expected = "preparing failed 3 times; the last error: the hub does not answer"
        assert error.detail == expected
        assert attempts(service, job["id"]) == [(None, n, "failed") for n in (1, 2, 3)]


async def test_preparing_shows_how_far_it_is(run_service: Any, inputs: Any, script: Any) -> None:
    script.tiles_to_run, script.prepares = 0, False
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["state"] == "preparing", job["id"])
        service.link.say(WorkProgress(job["id"], "reading checkpoints", 1, 3))
        await service.until(lambda job: job["progress"], job["id"])
        seen = await service.job(job["id"])
        assert seen["progress"] == {"stage": "reading checkpoints", "done": 1, "total": 3}
        assert (seen["state"], seen["workers"]) == ("preparing", 1)
        script.prepares = True
        service.link.prepare(service.link.told(PrepareJob)[0])
        await service.until(lambda job: job["state"] == "running", job["id"])
        assert (await service.job(job["id"]))["progress"] is None


async def test_the_time_left_is_told_from_the_tiles_so_far(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.tiles_to_run = 2
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        assert job["eta_seconds"] is None
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        # Four tiles of a quarter of a second each, by two workers.
        assert (await service.job(job["id"]))["eta_seconds"] == 0.5


async def test_a_cancelled_job_takes_no_more_tiles(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.tiles_to_run = 2
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        answer = await service.http.post(f"/v1/jobs/{job['id']}:cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        service.link.release()  # the tile in flight ends, and is not wanted any more
        await service.settled()
        ended = await service.job(job["id"])
        assert (ended["state"], ended["tiles_done"]) == ("cancelled", 2)
        assert len(service.link.told(RunTile)) == 4
        assert service.link.told(DropJob)
        other = await service.submit(inputs.spec())  # its workers are free again
        assert (await service.ended(other["id"]))["state"] == "completed"


async def test_numbers_of_another_shape_are_a_failed_attempt(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.workers, script.tiles_to_run = 1, 0
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(
            lambda job: job["workers"] == 1 and job["state"] == "running", job["id"]
        )
        (held,) = service.link.held
        result = service.link.result(held)
        object.__setattr__(result, "numbers", np.zeros((1, 8)))
        script.tiles_to_run = None
        service.link.say(result)
        assert (await service.ended(job["id"]))["state"] == "completed"
        tries = [row[1:] for row in attempts(service, job["id"]) if row[0] == held.tile]
        assert tries == [(1, "failed"), (2, "done")]


@pytest.mark.parametrize("nonsense", ["text", "TileFailed"])
async def test_a_dispatcher_that_talks_nonsense_is_replaced(
    run_service: Any, inputs: Any, script: Any, nonsense: str, caplog: Any
) -> None:
    script.tiles_to_run = 2
    async with run_service(script) as service:
        job = await service.submit(inputs.spec())
        await service.until(lambda job: job["tiles_done"] == 2, job["id"])
        script.tiles_to_run = None
        said = nonsense if nonsense == "text" else TileFailed(job["id"], 5, "w-77", "broke")
        service.link.say(said)
        assert (await service.ended(job["id"]))["state"] == "completed"
        assert len(service.links) == 2
    assert "replacing the dispatcher" in caplog.text


async def test_a_job_that_does_not_fit_is_refused_with_the_sizes(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.memory = 1 << 20
    async with run_service(script) as service:

        async def cluster_known() -> bool:
            return service.coordinator.cluster is not None

        while not await cluster_known():
            await asyncio.sleep(0.01)
        answer = await service.http.post("/v1/jobs", json=inputs.spec())
        assert answer.status_code == 422
        problem = Problem.from_json(answer.json())
        assert problem.type is ProblemType.DOES_NOT_FIT
        assert problem.detail.count("GiB") == 2
        assert (await service.http.get("/v1/jobs")).json()["jobs"] == []


async def test_a_full_disk_refuses_a_submission_and_is_told_by_healthz(
    run_service: Any, inputs: Any
) -> None:
    async with run_service() as service:
        connection = service.writer.submit(lambda one: one, lasting=False).result()

        def limit(pages: int) -> Any:
            return service.writer.submit(
                lambda _: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone(),
                lasting=False,
            )

        limit(1).result()  # SQLite takes the present size for the least
        answers = [
            await service.http.post("/v1/jobs", json=inputs.spec(name="x" * 200)) for _ in range(40)
        ]
        refused = [answer for answer in answers if answer.status_code != 202]
        assert {answer.status_code for answer in refused} == {503}
        assert Problem.from_json(refused[0].json()).type is ProblemType.UNAVAILABLE
        assert "full" in refused[0].json()["detail"]
        assert (await service.http.get("/healthz")).status_code == 503
        connection.execute("PRAGMA max_page_count = 100000")
        accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        for job_id in accepted:
            assert (await service.ended(job_id))["state"] == "completed"
        assert (await service.http.get("/healthz")).status_code == 200
