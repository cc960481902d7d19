"""Nothing is lost: kill -9 of any process between the first and the last tile.

Each job must end complete, compute again only what was missing, and give every dataset byte for
byte as an undisturbed run does.
"""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import psutil
import pytest
from live_service import LiveService, SmallInputs, wait_for

from bertscape import Job, Surface

pytestmark = pytest.mark.timeout(400)

SIDE = 33  # enough points that a kill falls between the first and the last tile
JOB_DEADLINE_S = 200.0

Serve = Callable[..., LiveService]


def datasets(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """dtype, shape and bytes of every dataset outside `run/`."""
    found = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("run/"):
            found[name] = (item.dtype.str, item.shape, item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def finish(job: Job, path: Path) -> Surface:
    job.wait(progress=False, timeout=JOB_DEADLINE_S)
    job.fetch(path)
    return Surface.load(path)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, small_inputs: SmallInputs
) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    service = LiveService(folder / "state", small_inputs.folder).start()
    try:
        finish(service.client().submit(small_inputs.spec(SIDE)), folder / "surface.h5")
    finally:
        assert service.stop() == 0
    return datasets(folder / "surface.h5")


def kill_worker(service: LiveService) -> None:
    os.kill(service.ray_process("ray::EvaluationWorker").pid, signal.SIGKILL)


def kill_dispatcher(service: LiveService) -> None:
    service.dispatcher().kill()


def kill_ray_head(service: LiveService) -> None:
    service.ray_process("gcs_server").kill()


def kill_api_and_restart(service: LiveService) -> None:
    session = service.dispatcher().pid
    service.kill()
    wait_for(lambda: not in_session(session), "the end of the dispatcher's session", 30)
    service.start()


def in_session(session: int) -> list[int]:
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
        except (ProcessLookupError, psutil.Error):
            continue
    return members


@pytest.mark.parametrize(
    "kill", [kill_worker, kill_dispatcher, kill_ray_head, kill_api_and_restart]
)
def test_a_kill_loses_nothing(
    kill: Callable[[LiveService], None],
    serve: Serve,
    small_inputs: SmallInputs,
    undisturbed: dict[str, object],
    tmp_path: Path,
) -> None:
    service = serve()
    job = service.client().submit(small_inputs.spec(SIDE))
    wait_for(lambda: job.refresh().status.raw["tiles_done"] >= 8, "the first tiles")
    kill(service)
    at_kill = service.client().job(job.id)
    done_then = at_kill.refresh().status.raw["tiles_done"]
    assert 8 <= done_then < at_kill.refresh().status.raw["tiles_total"]

    surface = finish(service.client().job(job.id), tmp_path / "surface.h5")

    assert datasets(tmp_path / "surface.h5") == undisturbed
    outcomes = Counter((attempt.tile, attempt.outcome) for attempt in surface.run.attempts)
    done = {tile: count for (tile, outcome), count in outcomes.items() if outcome == "done"}
    assert done == dict.fromkeys(range(len(done)), 1)  # each tile was computed and kept once
    tries = Counter(attempt.tile for attempt in surface.run.attempts)
    repeated = [tile for tile, count in tries.items() if count > 1]
    assert len(repeated) <= service.workers  # only what was in flight was tried again


@pytest.mark.parametrize(("workers", "tile_points"), [(1, 1), (2, 1), (1, 16), (2, 16)])
def test_workers_and_tiles_leave_no_trace(
    workers: int,
    tile_points: int,
    serve: Serve,
    small_inputs: SmallInputs,
    tmp_path: Path,
) -> None:
    service = serve(workers=workers, options=("--tile-points", str(tile_points)))
    job = service.client().submit(small_inputs.spec(7))
    finish(job, tmp_path / "surface.h5")
    shared = small_inputs.folder / "byte-identity"
    shared.mkdir(exist_ok=True)
    first = shared / "first.h5"
    if not first.exists():
        first.write_bytes((tmp_path / "surface.h5").read_bytes())
    assert datasets(tmp_path / "surface.h5") == datasets(first)


def test_ctrl_c_leaves_no_process(serve: Serve, small_inputs: SmallInputs) -> None:
    service = serve()
    job = service.client().submit(small_inputs.spec(SIDE))
    wait_for(lambda: job.refresh().status.raw["tiles_done"] >= 1, "the first tile")
    session = service.dispatcher().pid
    assert service.stop() == 0
    assert in_session(session) == []


@pytest.mark.parametrize("changed", ["checkpoint", "data"])
def test_an_input_changed_between_two_lives_fails_the_job_by_name(
    changed: str, small_inputs: SmallInputs, tmp_path: Path
) -> None:
    folder = tmp_path / "inputs"
    shutil.copytree(small_inputs.folder, folder)
    inputs = SmallInputs(folder)
    service = LiveService(tmp_path / "state", folder).start()
    try:
        job = service.client().submit(inputs.spec(SIDE))
        wait_for(lambda: job.refresh().status.raw["tiles_done"] >= 4, "the first tiles")
        service.kill()
        file = {
            "checkpoint": folder / "second" / "checkpoint-8" / "model.safetensors",
            "data": folder / "eval.tsv",
        }[changed]
        content = bytearray(file.read_bytes())
        if changed == "checkpoint":
            content[-1] ^= 1
        else:
            content = content.replace(b"w1 ", b"w2 ", 1)
        file.write_bytes(content)
        service.start()
        job = service.client().job(job.id)
        wait_for(lambda: job.refresh().status.raw["state"] == "failed", "the failure")
        error = job.refresh().status.raw["error"]
        assert error["type"].endswith("input-changed")
        assert str(file if changed == "data" else file.parent) in error["detail"]
        assert not job.surface().complete  # what was done stays downloadable
    finally:
        service.stop()
