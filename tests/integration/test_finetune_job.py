"""Fine-tuning as a job of a real service: its output, its survival, and surfaces made from it."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.live_service import LiveService, SmallInputs, wait_for

from bertscape import Job
from bertscape.values import JobFailed, ServiceError

pytestmark = pytest.mark.timeout(400)

JOB_DEADLINE_S = 200.0
EVERY, STEPS = 20, 240

Serve = Callable[..., LiveService]


def training(inputs: SmallInputs, **settings: Any) -> dict[str, Any]:
    """96 examples in batches of 16: six steps an epoch."""
    return {
        "kind": "finetune",
        "name": "small",
        "model": {"pretrained": str(inputs.folder / "start" / "checkpoint-0")},
        "data": inputs.spec()["data"],
        "training": {
            "max_steps": STEPS,
            "batch_size": 16,
            "learning_rate": 1e-3,
            "keep": EVERY,
            **settings,
        },
    }


def weights(job: Job) -> dict[int, bytes]:
    assert job.output is not None
    return {
        kept.step: (Path(kept.path) / "model.safetensors").read_bytes()
        for kept in job.output.checkpoints
    }


def finished(job: Job) -> Job:
    return job.wait(progress=False, timeout=JOB_DEADLINE_S)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, small_inputs: SmallInputs
) -> tuple[dict[int, bytes], Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    service = LiveService(folder / "state", small_inputs.folder, workers=1).start()
    try:
        job = finished(service.client().submit(training(small_inputs)))
        return weights(job), job.output
    finally:
        assert service.stop() == 0


Kill = Callable[[], None]


def kill_worker(service: LiveService) -> Kill:
    pid = service.ray_process("ray::EvaluationWorker").pid
    return lambda: os.kill(pid, signal.SIGKILL)


def kill_dispatcher(service: LiveService) -> Kill:
    return service.dispatcher().kill


def kill_api_and_restart(service: LiveService) -> Kill:
    session = service.dispatcher().pid

    def kill() -> None:
        service.kill()
        wait_for(lambda: not _lives(session), "the end of the dispatcher", 30)
        service.start()

    return kill


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("aim", [kill_worker, kill_dispatcher, kill_api_and_restart])
def test_a_kill_loses_no_step_before_the_last_checkpoint(
    aim: Callable[[LiveService], Kill],
    serve: Serve,
    small_inputs: SmallInputs,
    undisturbed: tuple[dict[int, bytes], Any],
) -> None:
    service = serve(workers=1)
    kill = aim(service)  # before the training begins: it would not wait for the search
    job = service.client().submit(training(small_inputs))
    output = service.state / "outputs" / job.id
    wait_for(lambda: (output / f"checkpoint-{3 * EVERY}").exists(), "the first checkpoints")
    kept = {path: path.stat().st_mtime_ns for path in output.glob("checkpoint-*/model.safetensors")}
    kill()
    job = service.client().job(job.id)
    assert job.state != "completed"

    job = finished(job)

    expected, log = undisturbed
    assert weights(job) == expected
    assert job.output is not None
    assert job.output.log == log.log
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not trained again
    assert sorted(output.glob("*")) == sorted(Path(one.path) for one in job.output.checkpoints)


def test_surfaces_are_drawn_from_what_a_job_left_behind(
    serve: Serve, small_inputs: SmallInputs
) -> None:
    service = serve(workers=1)
    client = service.client()
    first = finished(client.submit(training(small_inputs, max_steps=12, keep="epoch")))
    again = training(small_inputs, max_steps=6, seed=3)
    again["model"] = {"pretrained": {"job": first.id}}
    second = finished(client.submit(again))
    named = small_inputs.spec(
        3,
        model={"pretrained": {"job": first.id}, "finetuned": {"job": first.id}},
        y={"toward": {"job": second.id, "checkpoint": 6}},
        trajectory={"job": first.id},
    )
    job = finished(client.submit(named))
    surface = job.surface()
    assert surface.trajectory is not None
    assert surface.trajectory.step == (0, 6, 12)
    assert all(check.passed for check in surface.self_checks)
    assert first.output is not None
    place = surface.self_checks[1]
    assert place.checkpoint == "finetuned"
    assert place.expected[3] == pytest.approx(1 - (first.output.accuracy or 0.0))
    assert place.expected[2] == pytest.approx(first.output.log[-1].eval_loss, rel=1e-5)


def test_a_start_alone_is_stored_and_has_no_surface(
    serve: Serve, small_inputs: SmallInputs
) -> None:
    client = serve(workers=1).client()
    job = finished(client.submit(training(small_inputs, epochs=0, max_steps=None)))
    assert set(weights(job)) == {0}
    with pytest.raises(ServiceError, match="is a fine-tuning, which has no surface"):
        job.surface()
    named = small_inputs.spec(model={"pretrained": {"job": job.id}, "finetuned": {"job": "none"}})
    with pytest.raises(ServiceError, match=r"model\.finetuned\.job: 'none' there is no such job"):
        client.submit(named)


def test_a_cancelled_training_stops_at_once_and_keeps_what_is_done(
    serve: Serve, small_inputs: SmallInputs
) -> None:
    service = serve(workers=1)
    client = service.client()
    job = client.submit(training(small_inputs, max_steps=100_000, keep=200))
    output = service.state / "outputs" / job.id
    wait_for(lambda: (output / "checkpoint-200").exists(), "the first checkpoint")

    def shown() -> bool:
        status = job.refresh().status
        return (status.stage or "").startswith("fine-tuning ") and status.latest is not None

    wait_for(shown, "its stage and its latest numbers")
    assert job.cancel().state == "cancelled"
    with pytest.raises(JobFailed):
        finished(job)
    # The worker is free again: another job is done by it.
    after = finished(client.submit(training(small_inputs, max_steps=6)))
    assert after.output is not None
    kept = {path.name for path in output.glob("checkpoint-*")}
    assert {"checkpoint-0", "checkpoint-200"} <= kept
    assert (output / "checkpoint-200" / "model.safetensors").is_file()


def test_a_full_disk_fails_the_job_in_its_own_words(
    small_inputs: SmallInputs, tmp_path: Path
) -> None:
    outputs = tmp_path / "state" / "outputs"
    outputs.parent.mkdir(mode=0o700)  # a service takes no folder that others can enter
    outputs.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=1M,mode=700", "tmpfs", str(outputs)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    service = LiveService(tmp_path / "state", small_inputs.folder, workers=1).start()
    try:
        job = service.client().submit(training(small_inputs))
        with pytest.raises(JobFailed, match="the training failed 3 times") as caught:
            finished(job)
        assert str(outputs / job.id) in str(caught.value)
        assert "No space left on device" in str(caught.value)
        kept = {path.name for path in (outputs / job.id).iterdir()}
        assert {"checkpoint-0", "checkpoint-20"} <= kept
        assert all((outputs / job.id / name / "model.safetensors").is_file() for name in kept)
    finally:
        service.stop()
        subprocess.run(["umount", "--lazy", str(outputs)], check=True)
