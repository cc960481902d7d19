"""Nobody else on this machine runs code as the service, or reads what it wrote."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.service.played_coordinator import PlayedCoordinator
from tests.service.worker_that_tells import WorkerThatTells

from bertscape.values import InvalidInput
from bertscape_service.configuration import StateDirectory, is_private, new_private_folder
from bertscape_service.ray_cluster import DispatcherOptions, PrepareDone, process_session
from bertscape_service.scheduling import WorkerDied

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
OPTIONS = DispatcherOptions(workers=1, worker_class=f"{WorkerThatTells.__module__}:WorkerThatTells")
MODULES = ("torch", "sitecustomize", "h5py")
SHARED = {Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")}  # not a test's to fill

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can act as another user, and only with setpriv",
)


# --- a running service --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedCoordinator]:
    """A dispatcher with an embedded Ray and one worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        coordinator = PlayedCoordinator(tmp_path_factory.mktemp("state"), OPTIONS)
        coordinator.start()
        coordinator.start_worker("a")
        yield coordinator
        coordinator.link.stop()


def told(running: PlayedCoordinator, file: Path) -> dict[str, Any]:
    """What the worker says that it was started with."""
    running.prepare(str(file), "a")
    running.next(PrepareDone)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def folders_of(running: PlayedCoordinator) -> set[Path]:
    """All folders that the service's processes run in, have open or have made."""
    made = {running.state_directory}
    for process in process_session.members(running.session):
        made.add(Path(process.cwd()))
        # The folder of Ray's files is named in the arguments of its processes.
        words = (word for text in process.cmdline() for word in text.split("="))
        made |= {Path(word) for word in words if word.startswith("/tmp/")}
        made |= {Path(file.path).parent for file in process.open_files()}
    made |= {parent for folder in made for parent in folder.parents}
    made -= {Path.home(), *Path.home().parents, *SHARED}
    ours = {folder for folder in made if folder.is_dir() and "bertscape-" in str(folder)}
    below = {Path(top) for root in ours for top, *_ in os.walk(root)}
    return {folder for folder in made | below if folder.is_dir()}


def can_write(folder: Path) -> bool:
    """Whether a user without rights can make a file there."""
    return not subprocess.run([*AS_NOBODY, "test", "-w", str(folder)], check=False).returncode


@as_root
@pytest.mark.ray
def test_no_file_of_another_user_is_imported(running: PlayedCoordinator, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'a').write(__name__)\n"
    planted = [path for folder in folders_of(running) for path in plant(folder, code)]

    os.kill(told(running, tmp_path / "before")["pid"], signal.SIGKILL)
    running.next(WorkerDied)
    running.start_worker("a")
    after = told(running, tmp_path / "after")

    assert not marker.exists(), marker.read_text()
    assert planted == []
    places = [after["directory"], *after["path"]]
    assert [place for place in places if can_write(existing(Path(place)))] == []


def plant(folder: Path, code: str) -> list[Path]:
    """Make modules there as another user; those that could be made."""
    wanted = [folder / f"{name}.py" for name in MODULES]
    script = 'printf %s "$0" > "$1"'
    done = [
        subprocess.run([*AS_NOBODY, "sh", "-c", script, code, str(path)], capture_output=True)
        for path in wanted
    ]
    return [path for path, one in zip(wanted, done, strict=True) if one.returncode == 0]


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there: who writes that can make it."""
    return next(one for one in (path, *path.parents) if one.exists())


@pytest.mark.ray
def test_every_process_is_started_with_a_safe_path(
    running: PlayedCoordinator, tmp_path: Path
) -> None:
    started = [one.environ() for one in process_session.members(running.session)]
    # A process that has changed its title has written over its environment.
    known = [one for one in started if process_session.TOKEN_VARIABLE in one]
    known.append(told(running, tmp_path / "told")["environment"])
    assert len(known) >= 4  # the dispatcher, Ray's two and the worker
    assert {one.get("PYTHONSAFEPATH") for one in known} == {"1"}


@pytest.mark.ray
def test_names_of_sockets_leave_room_for_a_longer_place(running: PlayedCoordinator) -> None:
    private = Path(psutil.Process(running.session).cwd()).parent
    sockets = [path for path in private.rglob("*") if path.is_socket()]
    assert sockets
    below = max(len(os.fsencode(path.relative_to(private.parent))) for path in sockets)
    digits = len(str(1 << 22)) - len(str(running.session))  # the largest id of a process
    assert LONGEST_PLACE + 1 + below + digits <= 107


# --- places -------------------------------------------------------------------------------------

LONGEST_PLACE = 20


@pytest.fixture
def place() -> Iterator[Path]:
    """A new folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="bp-", dir="/tmp") as folder:
        yield Path(folder)


def test_a_private_folder_is_made_in_the_first_place_that_will_do(place: Path) -> None:
    folder = new_private_folder([place / "not there", place])
    assert folder.parent == place
    assert is_private(folder)


def test_a_place_where_others_could_swap_it_is_refused_by_name(place: Path) -> None:
    place.chmod(0o777)
    with pytest.raises(InvalidInput) as refused:
        new_private_folder([place])
    assert refused.value.problem.key == "TMPDIR"
    assert f"{place} lies in {place}, where others can replace folders" in str(refused.value)
    assert "expected your own folder" in str(refused.value)
    place.chmod(0o1777)
    assert new_private_folder([place]).parent == place


def test_a_place_with_a_long_name_is_refused_by_name(place: Path) -> None:
    long = place / ("x" * LONGEST_PLACE)
    long.mkdir()
    with pytest.raises(InvalidInput, match="too long for Ray's sockets"):
        new_private_folder([long])


@as_root
def test_a_place_of_another_user_is_refused_by_name(place: Path) -> None:
    os.chown(place, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match=f"{place}, which belongs to user {NOBODY}"):
        new_private_folder([place])


# --- the state directory ------------------------------------------------------------------------


def test_a_new_state_directory_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state"
    StateDirectory.acquire(path).release()
    assert all(is_private(folder) for folder in (path, path / "surfaces", path / "outputs"))


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o2770])
def test_an_earlier_state_directory_is_closed_and_that_is_said(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    StateDirectory.acquire(tmp_path / "state").release()
    (tmp_path / "state").chmod(mode)
    StateDirectory.acquire(tmp_path / "state").release()
    assert is_private(tmp_path / "state")
    assert f"{tmp_path / 'state'} was open to other users (mode {mode:o})" in caplog.text


def test_a_folder_for_other_things_is_not_closed_but_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "theses").mkdir()
    with pytest.raises(InvalidInput, match=r"other users can enter it \(mode 755\)") as refused:
        StateDirectory.acquire(shared)
    assert refused.value.problem.key == "--state-dir"
    assert shared.stat().st_mode & 0o777 == 0o755
    shared.chmod(0o700)
    StateDirectory.acquire(shared).release()


@as_root
def test_a_state_directory_of_another_user_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(0o700)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match=f"user {NOBODY} owns {path};"):
        StateDirectory.acquire(path)


@as_root
def test_a_state_directory_in_which_another_user_has_put_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    StateDirectory.acquire(path).release()
    path.chmod(0o777)
    planted = path / "dispatcher.json"  # it names folders that the next service removes
    planted.write_text("{}")
    os.chown(planted, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match=f"user {NOBODY} owns {planted};"):
        StateDirectory.acquire(path)
