"""Nothing is lost: kill -9 of any process between the first and the last tile.

Each job must end complete, compute again only what was missing, and give every dataset byte for
byte as an undisturbed run does.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import psutil
import pytest
from tests.integration.live_service import LiveService, SmallInputs, wait_for

from bertscape import Job, Surface

pytestmark = pytest.mark.timeout(900)

SIDE = 33  # enough points that a kill falls between the first and the last tile
ENDLESS = 250  # so many that nobody waits for the last
JOB_DEADLINE_S = 400.0

Serve = Callable[..., LiveService]
Datasets = dict[str, tuple[str, tuple[int, ...], bytes]]


def datasets(path: Path) -> Datasets:
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


def computed(folder: Path, inputs: SmallInputs, side: int, **settings: object) -> Datasets:
    """A surface of that size, as a service with these settings computes it undisturbed."""
    service = LiveService(folder / "state", inputs.folder, **settings).start()
    try:
        finish(service.client().submit(inputs.spec(side)), folder / "surface.h5")
    finally:
        assert service.stop() == 0
    return datasets(folder / "surface.h5")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_inputs: SmallInputs) -> Datasets:
    return computed(tmp_path_factory.mktemp("undisturbed"), small_inputs, SIDE)


# Each looks for its process, and returns what kills it: the search may take longer than a tile.


def worker(service: LiveService) -> Callable[[], None]:
    return service.ray_process("ray::EvaluationWorker").kill


def dispatcher(service: LiveService) -> Callable[[], None]:
    return service.dispatcher().kill


def ray_head(service: LiveService) -> Callable[[], None]:
    return service.ray_process("gcs_server").kill


def api_which_starts_again(service: LiveService) -> Callable[[], None]:
    session = service.dispatcher().pid

    def kill() -> None:
        service.kill()
        wait_for(lambda: not in_session(session), "the end of the dispatcher's session")
        service.start()

    return kill


def in_session(session: int) -> list[int]:
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
        except (ProcessLookupError, psutil.Error):
            continue
    return members


@pytest.mark.parametrize("victim", [worker, dispatcher, ray_head, api_which_starts_again])
def test_a_kill_loses_nothing(
    victim: Callable[[LiveService], Callable[[], None]],
    serve: Serve,
    small_inputs: SmallInputs,
    undisturbed: Datasets,
    tmp_path: Path,
) -> None:
    service = serve()
    job = service.client().submit(small_inputs.spec(SIDE))
    kill = victim(service)  # while the job is being prepared
    wait_for(lambda: job.refresh().status.tiles_done >= 8, "the first tiles")
    killed = time.time()
    kill()

    surface = finish(service.client().job(job.id), tmp_path / "surface.h5")

    assert datasets(tmp_path / "surface.h5") == undisturbed
    assert killed < max(attempt.started for attempt in surface.run.attempts)  # there was more to do
    outcomes = Counter((attempt.tile, attempt.outcome) for attempt in surface.run.attempts)
    done = {tile: count for (tile, outcome), count in outcomes.items() if outcome == "done"}
    assert done == dict.fromkeys(range(len(done)), 1)  # each tile was computed and kept once
    tries = Counter(attempt.tile for attempt in surface.run.attempts)
    repeated = [tile for tile, count in tries.items() if count > 1]
    assert len(repeated) <= service.workers  # only what was in flight was tried again


def tiled(workers: int, tile_points: int) -> dict[str, object]:
    return {"workers": workers, "options": ("--tile-points", str(tile_points))}


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory, small_inputs: SmallInputs) -> Datasets:
    return computed(tmp_path_factory.mktemp("one-by-one"), small_inputs, 7, **tiled(1, 1))


@pytest.mark.parametrize(("workers", "tile_points"), [(2, 1), (1, 16), (2, 16)])
def test_workers_and_tiles_leave_no_trace(
    workers: int,
    tile_points: int,
    small_inputs: SmallInputs,
    one_by_one: Datasets,
    tmp_path: Path,
) -> None:
    assert computed(tmp_path, small_inputs, 7, **tiled(workers, tile_points)) == one_by_one


def test_ctrl_c_leaves_no_process(serve: Serve, small_inputs: SmallInputs) -> None:
    service = serve()
    job = service.client().submit(small_inputs.spec(ENDLESS))
    wait_for(lambda: job.refresh().status.tiles_done >= 1, "the first tile")
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
        job = service.client().submit(inputs.spec(ENDLESS))
        wait_for(lambda: job.refresh().status.tiles_done >= 4, "the first tiles")
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
        wait_for(lambda: job.refresh().state == "failed", "the failure")
        error = job.refresh().status.to_json()["error"]
        assert error["type"].endswith("input-changed")
        assert str(file if changed == "data" else file.parent) in error["detail"]
        assert not job.surface().complete  # what was done stays downloadable
    finally:
        service.stop()
