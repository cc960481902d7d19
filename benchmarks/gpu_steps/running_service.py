"""A service of one worker, as long as a step needs it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from bertscape import Client
from bertscape.http import local_service
from gpu_steps.telling import Setting, Told

WORKER = "ray::EvaluationWorker"
JOB_S = 60.0  # that a job may take on a GPU
SMALL_JOB_S = 300.0  # and on a processor that others use too
POLL_S = 0.02


def job_s(setting: Setting) -> float:
    """How long a job may take, in seconds."""
    return SMALL_JOB_S if setting.small else JOB_S


@contextmanager
def running_service(told: Told, setting: Setting) -> Iterator[Client]:
    """The service's client; tells how long the start took."""
    log, began = setting.folder / "serve.log", time.monotonic()
    state = setting.folder / "state"
    try:
        with (
            local_service(state, [setting.folder], log, ("--workers", "1")) as service,
            Client(service.url, service.token) as client,
        ):
            told.figure("service started", seconds=time.monotonic() - began)
            yield client
    finally:
        if log.exists():
            print(log.read_text("utf-8", "replace"))


def worker() -> psutil.Process:
    """The one worker of this process's service."""
    found: psutil.Process = wait_for(_find_worker, "the worker")
    return found


def _find_worker() -> psutil.Process | None:
    for one in psutil.Process().children(recursive=True):
        try:
            if WORKER in " ".join(one.cmdline()[:1]):
                return one
        except psutil.Error:
            continue
    return None


def wait_for(find: Callable[[], Any], what: str, deadline_s: float = SMALL_JOB_S) -> Any:
    """The first true answer."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(POLL_S)
    raise TimeoutError(f"{what} did not come within {deadline_s:.0f} s")
