"""The dispatcher and its link, with real processes and a real Ray; only the numerics stand in."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.service.played_coordinator import (
    PATIENCE_S,
    PlayedCoordinator,
    eventually,
    is_empty,
    spec,
)
from tests.service.worker_for_tests import WAITS_FOR

from bertscape.values import ProblemType, tiles
from bertscape_service.ray_cluster import (
    DescribeJob,
    DispatcherOptions,
    PrepareDone,
    PrepareRefused,
    WorkProgress,
    process_session,
)
from bertscape_service.ray_cluster.dispatcher_link import LOG_NAME
from bertscape_service.scheduling import (
    ArraysLost,
    DropJob,
    KillWorker,
    RunTile,
    StartWorker,
    TileFailed,
    WorkerDied,
    WorkerReady,
)

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def _worker_module_on_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        yield


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, _worker_module_on_path: None
) -> Iterator[PlayedCoordinator]:
    """A dispatcher with an embedded Ray and two workers, "a" and "b"."""
    coordinator = PlayedCoordinator(tmp_path_factory.mktemp("state"))
    found = coordinator.start()
    assert (found.workers, found.threads) == (2, 1)
    assert min(found.memory_per_worker, found.object_store) > 0
    for worker_id in ("a", "b"):
        coordinator.link.send(StartWorker(worker_id, 0.0))
    ready = [coordinator.next(WorkerReady) for _ in range(2)]
    assert {one.worker_id for one in ready} == {"a", "b"}
    assert all(one.device for one in ready)
    yield coordinator
    session = coordinator.session
    coordinator.link.stop()
    coordinator.link.stop()
    assert not coordinator.link.alive
    assert list(process_session.members(session)) == []
    assert coordinator.lost.empty()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[PlayedCoordinator]:
    """A dispatcher for one test alone, not started yet."""
    coordinator = PlayedCoordinator(tmp_path)
    yield coordinator
    coordinator.link.stop()


# --- work ---------------------------------------------------------------------------------------


def test_a_prepared_job_is_evaluated_by_every_worker_from_the_same_memory(
    shared: PlayedCoordinator,
) -> None:
    shared.prepare("plain", "a")
    done = shared.next(PrepareDone)
    assert (done.job_id, done.worker_id, done.findings.classes) == ("plain", "a", 2)

    results = [shared.run_tile("plain", worker_id, tile=1) for worker_id in ("a", "b")]

    grid, pids = spec("plain").points, set()
    for result, worker_id in zip(results, ("a", "b"), strict=True):
        assert (result.job_id, result.tile, result.worker_id) == ("plain", 1, worker_id)
        assert (result.attempt, result.device) == (1, done.device)
        assert (result.numbers.shape, result.numbers.dtype) == ((2, 8), np.dtype(np.float64))
        alpha_beta = grid.coordinates(tiles(grid, 2)[1].points)
        np.testing.assert_array_equal(result.numbers[:, :2], alpha_beta)
        np.testing.assert_array_equal(result.numbers[:, 2:5], [[2_000_000.0, True, True]] * 2)
        assert (result.numbers[:, 6] == 1).all()  # one arena for all threads
        assert np.isnan(result.numbers[:, 7]).all()
        assert result.seconds > 0
        pids |= set(result.numbers[:, 5])
    assert len(pids) == 2


def test_a_raising_evaluator_is_reported_and_its_worker_lives_on(shared: PlayedCoordinator) -> None:
    shared.prepare("raises", "a")
    shared.prepare("plain", "b")
    shared.next(PrepareDone)
    shared.next(PrepareDone)

    shared.link.send(RunTile("raises", 0, "a", 1))

    failed = shared.next(TileFailed)
    assert (failed.job_id, failed.tile, failed.worker_id) == ("raises", 0, "a")
    assert failed.error == "ValueError: no value at 0.0, 0.0"
    assert "Traceback" in (shared.state_directory / LOG_NAME).read_text()
    assert shared.run_tile("plain", "a").worker_id == "a"


def test_bad_input_is_final_and_any_other_error_of_preparing_is_not(
    shared: PlayedCoordinator,
) -> None:
    shared.prepare("bad input", "a")
    refused = shared.next(PrepareRefused)
    assert (refused.final, refused.problem.key) == (True, "data.train.path")

    shared.prepare("breaks", "a")
    refused = shared.next(PrepareRefused)
    assert (refused.final, refused.problem.type) == (False, ProblemType.PREPARING_FAILED)
    assert refused.problem.detail == "preparing failed: RuntimeError: the disk is on fire"


def test_how_far_preparing_is_is_told_while_it_goes_on(
    shared: PlayedCoordinator, tmp_path: Path
) -> None:
    name = f"{WAITS_FOR}{tmp_path / 'told'}"
    shared.prepare(name, "a")
    assert shared.next(WorkProgress) == WorkProgress(name, "tokenizing", 1, 2)
    (tmp_path / "told").touch()
    shared.next(PrepareDone)


def test_a_job_without_arrays_is_reported(shared: PlayedCoordinator) -> None:
    shared.link.send(DescribeJob("not prepared", spec("not prepared"), 2, "/outputs"))
    shared.link.send(RunTile("not prepared", 0, "a", 1))
    assert shared.next(ArraysLost) == ArraysLost("not prepared", "a")

    shared.prepare("plain", "a")
    shared.next(PrepareDone)
    shared.link.send(DropJob("plain"))
    shared.link.send(RunTile("plain", 0, "b", 1))
    assert shared.next(ArraysLost) == ArraysLost("plain", "b")


def test_arrays_outlive_the_worker_that_prepared_them_and_an_idle_death_is_noticed(
    shared: PlayedCoordinator,
) -> None:
    shared.prepare("plain", "a")
    shared.next(PrepareDone)
    os.kill(shared.pid_of("plain", "a"), signal.SIGKILL)

    died = shared.next(WorkerDied)

    assert (died.worker_id, died.counts) == ("a", True)
    assert died.reason
    assert shared.run_tile("plain", "b", tile=2).numbers[0, 2] == 2_000_000.0
    shared.start_worker("a")
    assert shared.run_tile("plain", "a", tile=2).numbers[0, 2] == 2_000_000.0


def test_the_death_of_a_worker_alone_in_a_tile_counts(shared: PlayedCoordinator) -> None:
    shared.prepare("dies", "a")
    shared.next(PrepareDone)
    shared.link.send(RunTile("dies", 0, "a", 1))
    died = shared.next(WorkerDied)
    assert (died.worker_id, died.counts) == ("a", True)
    shared.start_worker("a")


def test_a_killed_worker_is_gone_without_a_report(shared: PlayedCoordinator) -> None:
    shared.prepare("plain", "b")
    shared.next(PrepareDone)
    pid = shared.pid_of("plain", "a")
    shared.link.send(KillWorker("a"))
    assert eventually(lambda: not psutil.pid_exists(pid))
    shared.link.send(RunTile("plain", 0, "a", 1))  # it may cross a report: nothing comes of it
    assert shared.run_tile("plain", "b").worker_id == "b"
    shared.start_worker("a")
    kinds = {type(shared.messages.get_nowait()) for _ in range(shared.messages.qsize())}
    assert WorkerDied not in kinds


# --- ends ---------------------------------------------------------------------------------------


def test_a_killed_dispatcher_is_reported_once_and_leaves_nothing(own: PlayedCoordinator) -> None:
    own.start()
    assert own.process("raylet").is_running()
    directory = Path(psutil.Process(own.session).cwd())

    os.kill(own.session, signal.SIGKILL)

    assert "-9" in own.lost.get(timeout=PATIENCE_S)
    assert is_empty(own.session)
    assert not directory.exists()
    assert not own.link.alive
    own.link.send(KillWorker("a"))
    own.link.stop()
    assert own.lost.empty()


@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_lost_head_ends_the_dispatcher(own: PlayedCoordinator, name: str) -> None:
    own.start()
    own.start_worker("a")
    process = own.process(name)
    process.kill()
    assert str(process.pid) in own.lost.get(timeout=PATIENCE_S)
    assert is_empty(own.session)
    kinds = [type(own.messages.get_nowait()) for _ in range(own.messages.qsize())]
    assert WorkerDied not in kinds


API = """
import sys, time
from pathlib import Path
from bertscape_service.ray_cluster.dispatcher_link import DispatcherLink, DispatcherOptions
tell = lambda message: print("found", flush=True)
link = DispatcherLink(DispatcherOptions(), tell, print, Path(sys.argv[1]))
link.start()
print(link.session, flush=True)
time.sleep(600)
"""


def start_api(state_directory: Path) -> tuple["subprocess.Popen[str]", int]:
    """A process with a link in it, and the session of its dispatcher, whose Ray has started."""
    api = subprocess.Popen(
        [sys.executable, "-c", API, str(state_directory)], stdout=subprocess.PIPE, text=True
    )
    assert api.stdout is not None
    session = int(api.stdout.readline())
    assert api.stdout.readline() == "found\n"
    return api, session


def kill(api: "subprocess.Popen[str]") -> None:
    with api:
        api.kill()


def test_a_killed_api_process_takes_the_dispatcher_along(tmp_path: Path) -> None:
    api, session = start_api(tmp_path)
    assert not is_empty(session)
    directory = Path(psutil.Process(session).cwd())
    kill(api)
    assert eventually(lambda: is_empty(session))
    assert not directory.exists()


def test_what_a_killed_api_process_left_is_ended_by_the_next(
    tmp_path: Path, own: PlayedCoordinator
) -> None:
    api, session = start_api(tmp_path)
    os.kill(session, signal.SIGSTOP)  # it cannot end itself
    kill(api)
    assert not is_empty(session)
    own.start()
    assert is_empty(session)
    assert not is_empty(own.session)


def test_an_address_where_nothing_answers_is_reported(tmp_path: Path) -> None:
    coordinator = PlayedCoordinator(tmp_path, DispatcherOptions(ray_address="127.0.0.1:9"))
    coordinator.link.start()
    try:
        assert "127.0.0.1:9" in coordinator.lost.get(timeout=PATIENCE_S)
    finally:
        coordinator.link.stop()
