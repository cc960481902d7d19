"""All that a service leaves while it runs belongs to its user, and to nobody else."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.live_service import LiveService, SmallInputs

from bertscape_service.ray_cluster import process_session

pytestmark = pytest.mark.timeout(400)

JOB_DEADLINE_S = 200.0


def training(inputs: SmallInputs) -> dict[str, object]:
    return {
        "kind": "finetune",
        "model": {"pretrained": str(inputs.folder / "start" / "checkpoint-0")},
        "data": inputs.spec()["data"],
        "training": {"max_steps": 2, "batch_size": 16, "keep": 1},
    }


def everything_in(top: Path) -> Iterator[Path]:
    yield top
    for folder, folders, files in os.walk(top):
        yield from (Path(folder, name) for name in (*folders, *files))


def shown(path: Path) -> str:
    found = path.lstat()
    return f"{stat.filemode(found.st_mode)} {found.st_uid} {path}"


def test_what_a_running_service_has_made_is_its_users_alone(
    serve: Callable[..., LiveService], small_inputs: SmallInputs
) -> None:
    previous = os.umask(0o000)  # the service does not depend on its user's
    try:
        service = serve(workers=1)
    finally:
        os.umask(previous)
    for spec in (small_inputs.spec(3), training(small_inputs)):
        service.client().submit(spec).wait(progress=False, timeout=JOB_DEADLINE_S)
    session = service.dispatcher().pid
    private = Path(psutil.Process(session).cwd()).parent
    made = [path for path in everything_in(service.state) if path != service.log]
    made += [path for path in everything_in(private) if private / "ray" not in path.parents]

    open_to_others = [
        path
        for path in made
        if path.name != "ray"  # Ray opens its own folder; it lies in a private one
        and (path.lstat().st_mode & 0o077 or path.lstat().st_uid != os.geteuid())
    ]

    assert [shown(path) for path in open_to_others] == []
    names = {path.name for path in made}
    assert {"journal.sqlite3", "dispatcher.json", "dispatcher.log", "lock", "ray"} <= names
    assert [path for path in made if path.suffix == ".h5" and path.parent.name == "surfaces"]
    assert [path for path in made if path.name == "model.safetensors"]
    elsewhere = {
        Path(file.path)
        for process in process_session.members(session)
        for file in process.open_files()
        if not {private, service.state} & set(Path(file.path).parents)
    }
    assert [shown(path) for path in elsewhere if is_open(path)] == []


def is_open(path: Path) -> bool:
    """Whether others may write a file that is there."""
    return path.exists() and bool(path.stat().st_mode & 0o022)
