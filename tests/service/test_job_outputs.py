"""Fine-tunings in the service: what their objects show, and `{job: ID}` in other jobs' specs."""

from collections import Counter
from typing import Any

import pytest

from bertscape.values import LogEntry, Problem, ProblemType, TrainingOutput
from bertscape_service.journal import AttemptRow
from bertscape_service.ray_cluster import DescribeJob, TileRefused, WorkProgress
from bertscape_service.scheduling import DropJob, TileAdvanced, WorkerDied

pytestmark = pytest.mark.anyio


def attempts(service: Any, job_id: str) -> tuple[AttemptRow, ...]:
    return service.coordinator.journal.results(job_id).attempts


async def trained(service: Any, inputs: Any, **changes: Any) -> dict[str, Any]:
    job = await service.submit(inputs.training(**changes))
    job = await service.ended(job["id"])
    assert job["state"] == "completed", job["error"]
    return job


async def test_an_output_is_shown_and_outlives_the_service(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        job = await trained(service, inputs)
        folder = service.state.outputs / job["id"]
        (described,) = service.link.told(DescribeJob)
        assert described.output == str(folder)
    async with run_service() as service:
        job = await service.job(job["id"])
        output = TrainingOutput.from_json(job["output"])
        assert output.folder == str(folder)
        assert [kept.step for kept in output.checkpoints] == [0, 5, 10]
        assert output.accuracy == 0.875
        assert job["output"]["log"][1]["loss"] == "NaN"
        assert (job["points_done"], job["points_total"], job["progress"]) == (1, 1, None)
        page = (await service.http.get("/v1/jobs")).json()["jobs"]
        assert [entry["step"] for entry in page[0]["output"]["log"]] == [10]


async def test_the_latest_numbers_are_shown_while_it_trains(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.tiles_to_run = 0
    async with run_service(script) as service:
        job = await service.submit(inputs.training())
        await service.until(lambda job: job["state"] == "running", job["id"])
        latest = LogEntry(40, 0.5, loss=0.5, eval_error=0.25)
        service.link.say(WorkProgress(job["id"], "fine-tuning", 30, 100, latest))
        service.link.say(WorkProgress(job["id"], "fine-tuning", 40, 100, latest))
        seen = await service.job(job["id"])
        assert seen["progress"] == {
            "stage": "fine-tuning",
            "done": 40,
            "total": 100,
            "latest": {"step": 40, "epoch": 0.5, "loss": 0.5, "eval_error": 0.25},
        }
        assert seen["eta_seconds"] >= 0
        service.link.lose("it is gone")
        await service.until(lambda job: job["progress"] is None, job["id"])


async def test_a_training_has_no_surface_and_can_be_cancelled(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.tiles_to_run = 0
    async with run_service(script) as service:
        job = await service.submit(inputs.training())
        await service.until(lambda job: job["state"] == "running", job["id"])
        answer = await service.http.get(f"/v1/jobs/{job['id']}/surface")
        assert answer.status_code == 404
        assert "is a fine-tuning, which has no surface" in answer.json()["detail"]
        await service.http.post(f"/v1/jobs/{job['id']}:cancel")
        await service.settled()
        assert [one.job_id for one in service.link.told(DropJob)] == [job["id"]]
        assert (await service.job(job["id"]))["output"] is None


async def test_a_failing_training_says_so(run_service: Any, inputs: Any, script: Any) -> None:
    script.failures[0] = 3
    async with run_service(script) as service:
        job = await service.submit(inputs.training())
        job = await service.ended(job["id"])
        assert job["state"] == "failed"
        assert job["error"]["detail"].startswith("the training failed 3 times; the last error: ")


async def test_a_start_that_changed_ends_the_job_at_once(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.workers, script.tiles_to_run = 1, 0
    problem = Problem(ProblemType.INPUT_CHANGED, "start has changed", key="model.pretrained")
    async with run_service(script) as service:
        job = await service.submit(inputs.training())
        await service.until(lambda job: job["workers"] and job["state"] == "running", job["id"])
        (held,) = service.link.held
        service.link.say(TileRefused(job["id"], 0, held.worker_id, problem))
        job = await service.ended(job["id"])
        assert (job["state"], Problem.from_json(job["error"])) == ("failed", problem)
        (attempt,) = [row for row in attempts(service, job["id"]) if row.tile == 0]
        assert (attempt.outcome, attempt.error) == ("failed", "start has changed")
        script.tiles_to_run = None
        await trained(service, inputs)  # by the same worker


async def test_a_refusal_that_comes_after_the_end_only_frees_its_worker(
    run_service: Any, inputs: Any, script: Any
) -> None:
    script.workers, script.tiles_to_run = 1, 0
    async with run_service(script) as service:
        job = await service.submit(inputs.training())
        await service.until(lambda job: job["workers"] and job["state"] == "running", job["id"])
        (held,) = service.link.held
        await service.http.post(f"/v1/jobs/{job['id']}:cancel")
        problem = Problem(ProblemType.INPUT_CHANGED, "start has changed")
        service.link.say(TileRefused(job["id"], 0, held.worker_id, problem))
        assert (await service.job(job["id"]))["state"] == "cancelled"
        script.tiles_to_run = None
        await trained(service, inputs)


async def test_attempts_at_a_training_count_from_its_last_checkpoint(
    run_service: Any, inputs: Any, make_script: Any
) -> None:
    script = make_script(workers=1, tiles_to_run=0)
    async with run_service(script) as service:
        job = await service.submit(inputs.training())
        for _ in range(4):
            await service.until(lambda job: job["workers"] and job["state"] == "running", job["id"])
            held = service.link.held.pop()
            service.link.say(TileAdvanced(job["id"], 0, held.worker_id))
            service.link.say(TileAdvanced(job["id"], 0, "w-77"))  # of one that is dead
            assert (await service.job(job["id"]))["workers"] == 1
            service.link.say(WorkerDied(held.worker_id, "killed", counts=True))
        await service.until(lambda job: job["workers"] and job["state"] == "running", job["id"])
        assert service.link.held.pop().attempt == 2
    script = make_script(workers=1, failures=Counter({0: 1}))
    async with run_service(script) as service:  # one attempt is left after a restart, too
        job = await service.ended(job["id"])
        assert job["state"] == "completed"
        outcomes = [row.outcome.value for row in attempts(service, job["id"]) if row.tile == 0]
        assert outcomes == ["failed", *["done", "failed"] * 3, "failed", "done"]


async def test_outputs_stand_in_the_place_of_jobs(run_service: Any, inputs: Any) -> None:
    async with run_service() as service:
        job = await trained(service, inputs)
        places = [kept["path"] for kept in job["output"]["checkpoints"]]
        here = {"job": job["id"]}
        spec = inputs.spec(
            model={"pretrained": here, "finetuned": here, "tokenizer": here},
            y={"toward": {**here, "checkpoint": 5}},
            trajectory=here,
        )
        kept = (await service.submit(spec))["spec"]
        assert kept["model"] == {
            "pretrained": places[0],
            "finetuned": places[-1],
            "tokenizer": places[-1],
        }
        assert kept["y"]["toward"] == places[1]
        assert kept["trajectory"] == places
        along = inputs.spec(y={"pca": [{**here, "checkpoint": 0}, here], "component": 1})
        assert (await service.submit(along))["spec"]["y"]["pca"] == [places[0], *places]
        more = inputs.training(model={"pretrained": here})
        assert (await service.submit(more))["spec"]["model"]["pretrained"] == places[0]


async def refusal(service: Any, inputs: Any, **named: Any) -> Problem:
    spec = inputs.spec(model={"pretrained": str(inputs.folder / "start"), "finetuned": named})
    answer = await service.http.post("/v1/jobs", json=spec)
    assert answer.status_code == 422
    problem = Problem.from_json(answer.json())
    assert problem.type is ProblemType.INVALID_VALUE
    return problem


async def test_only_a_completed_training_will_do(
    run_service: Any, inputs: Any, script: Any
) -> None:
    async with run_service(script) as service:
        done = await trained(service, inputs)
        surface = await service.submit(inputs.spec())
        await service.ended(surface["id"])
        script.failures[0] = 3
        failed = await service.submit(inputs.training())
        await service.ended(failed["id"])
        script.tiles_to_run = 0
        running = await service.submit(inputs.training())
        await service.until(lambda job: job["state"] == "running", running["id"])
        for job, found in (
            ("nothing", "there is no such job"),
            (surface["id"], "is a job of kind surface"),
            (failed["id"], "is failed"),
            (running["id"], "is running"),
        ):
            problem = await refusal(service, inputs, job=job)
            assert problem.key == "model.finetuned.job"
            assert problem.value == repr(job)
            assert f"{found}; expected the id of a completed finetune job" in problem.detail
        await service.http.post(f"/v1/jobs/{running['id']}:cancel")
        assert "is cancelled" in (await refusal(service, inputs, job=running["id"])).detail
        problem = await refusal(service, inputs, job=done["id"], checkpoint=7)
        assert (problem.key, problem.value) == ("model.finetuned.checkpoint", "7")
        assert problem.expected == "a step that the job has kept: 0, 5, 10"
        problem = await refusal(service, inputs, job=["a"])
        assert (problem.key, problem.expected) == ("model.finetuned.job", "text")


async def test_a_random_start_needs_no_weights(run_service: Any, inputs: Any) -> None:
    folder = inputs.folder / "start"
    (folder / "model.safetensors").unlink()
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", json=inputs.training())
        assert "has no safetensors file" in answer.json()["detail"]
        await trained(service, inputs, training={"start": "scratch"})
        (folder / "config.json").unlink()
        scratch = inputs.training(training={"start": "scratch"})
        answer = await service.http.post("/v1/jobs", json=scratch)
        assert (answer.status_code, answer.json()["key"]) == (422, "model.pretrained")
        assert "config.json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"training": {"epochs": -1}}, "training.epochs"),
        ({"training": {"keep": 0}}, "training.keep"),
        ({"training": {"labels": ["one"]}}, "training.labels"),
        ({"training": {"warmup": 1.0}}, "training.warmup"),
        ({"training": {"optimizer": "sgd"}}, "training.optimizer"),
        ({"precision": "tf32"}, "precision"),
        ({"grid": {}}, "grid"),
    ],
)
async def test_wrong_settings_are_refused_by_key(
    run_service: Any, inputs: Any, changes: dict[str, Any], key: str
) -> None:
    async with run_service() as service:
        answer = await service.http.post("/v1/jobs", json=inputs.training(**changes))
        assert answer.status_code == 422
        assert answer.json()["key"] == key


async def test_positions_are_checked_before_a_job_is_taken_on(
    run_service: Any, inputs: Any
) -> None:
    data = {**inputs.spec()["data"], "max_length": 17}
    async with run_service() as service:
        for start in ("pretrained", "scratch"):
            spec = inputs.training(data=data, training={"start": start})
            answer = await service.http.post("/v1/jobs", json=spec)
            assert answer.json()["key"] == "data.max_length"
