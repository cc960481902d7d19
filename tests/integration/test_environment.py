"""A service in an environment that is not what one would wish: it works, or says what to set."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.live_service import LiveService, SmallInputs

from bertscape import Surface

pytestmark = pytest.mark.timeout(400)

JOB_DEADLINE_S = 200.0
NOBODY_LISTENS = "127.0.0.1:9"
LESS_SHARED_MEMORY = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
IN_LESS_SHARED_MEMORY = ("unshare", "--mount", "sh", "-c", LESS_SHARED_MEMORY, "sh")


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return not subprocess.run([*IN_LESS_SHARED_MEMORY, "true"], capture_output=True).returncode


def finishes_a_job(service: LiveService, inputs: SmallInputs, tmp_path: Path) -> None:
    try:
        service.start()
        job = service.client().submit(inputs.spec(3)).wait(progress=False, timeout=JOB_DEADLINE_S)
        surface = Surface.load(job.fetch(tmp_path / "surface.h5"))
    finally:
        if service.process is not None:
            service.stop()
    assert surface.complete
    assert all(check.passed for check in surface.self_checks)


ENVIRONMENTS = {
    "a proxy for all addresses": {
        "http_proxy": f"http://{NOBODY_LISTENS}",
        "https_proxy": f"http://{NOBODY_LISTENS}",
        "ALL_PROXY": f"socks5://{NOBODY_LISTENS}",
        "no_proxy": "",
    },
    "a long TMPDIR": {"TMPDIR": "long"},
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "a read-only HOME": {"HOME": "/proc", "XDG_CACHE_HOME": "/proc/cache"},
}


@pytest.mark.parametrize("name", list(ENVIRONMENTS))
def test_a_job_ends_all_the_same(
    name: str, small_inputs: SmallInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = dict(ENVIRONMENTS[name])
    if "TMPDIR" in environment:
        long = tmp_path / ("x" * 100)
        long.mkdir()
        environment["TMPDIR"] = str(long)
    for variable, value in environment.items():
        if "proxy" in variable.lower():
            monkeypatch.setenv(variable, value)  # for the client, too
    service = LiveService(
        tmp_path / "state", small_inputs.folder, workers=1, environment=environment
    )
    finishes_a_job(service, small_inputs, tmp_path)


def test_paths_may_hold_spaces_and_any_letters(small_inputs: SmallInputs, tmp_path: Path) -> None:
    folder = tmp_path / "Modèles für 数据"
    shutil.copytree(small_inputs.folder, folder)
    service = LiveService(folder / "der Zustand", folder, workers=1)
    finishes_a_job(service, SmallInputs(folder), tmp_path)


@pytest.mark.skipif(
    os.geteuid() != 0 or not may_mount(), reason="only root can give a process less shared memory"
)
def test_little_shared_memory_is_enough(small_inputs: SmallInputs, tmp_path: Path) -> None:
    service = LiveService(
        tmp_path / "state", small_inputs.folder, workers=1, prefix=IN_LESS_SHARED_MEMORY
    )
    finishes_a_job(service, small_inputs, tmp_path)
