"""The service on that device: a job, and the same with `kill -9` of its worker between tiles."""

import os
import time
from collections import Counter
from pathlib import Path

import h5py

from bertscape import Job, Surface
from gpu_steps import full_memory
from gpu_steps.inputs import architectures, checkpoints
from gpu_steps.running_service import job_s, running_service, wait_for, worker
from gpu_steps.telling import NEEDS_CUDA, Setting, Told

FULL_MEMORY = "full-memory"  # the argument that has that step's jobs done by this service
SIDE, SMALL_SIDE = 41, 13  # grid points of an axis: enough that a kill falls between two tiles
WHOLE, KILLED = "undisturbed", "after a kill"
SETTLED = 8  # tiles before the kill

Datasets = dict[str, tuple[str, tuple[int, ...], bytes]]


def run(told: Told, setting: Setting) -> None:
    """Both jobs, and their bytes."""
    made = checkpoints(setting.folder / "model", architectures(setting.small)["bert"])
    side = SMALL_SIDE if setting.small else SIDE
    spec = made.spec(
        grid={"x": [-1, 2, side], "y": [-1, 2, side]},
        precision="bf16" if setting.cuda else "fp32",
    ).to_json()
    if not setting.cuda:
        told.skipped("the service in bf16", f"{NEEDS_CUDA}; it ran in fp32")
    with running_service(told, setting) as client:
        if FULL_MEMORY in setting.arguments:
            full_memory.jobs(told, setting, client)
        whole = _finished(told, WHOLE, client.submit(spec), setting)
        job = client.submit(spec)
        killed = _kill_between_tiles(job)
        again = _finished(told, KILLED, job, setting)
        _tell_of_attempts(told, again, killed)
    told.check(
        "bytes after a kill",
        _datasets(setting.folder / f"{WHOLE}.h5") == _datasets(setting.folder / f"{KILLED}.h5"),
        device=whole.findings.device,
        precision=whole.findings.precision,
        evaluator=whole.findings.evaluator,
    )


def _finished(told: Told, what: str, job: Job, setting: Setting) -> Surface:
    began = time.monotonic()
    job.wait(progress=False, timeout=job_s(setting))
    surface = Surface.load(job.fetch(setting.folder / f"{what}.h5"))
    done = [one for one in surface.run.attempts if one.outcome == "done"]
    first = min(one.started for one in done)
    last = max(one.started + one.seconds for one in done)
    told.check(
        what,
        surface.complete and all(check.passed is not False for check in surface.self_checks),
        seconds=time.monotonic() - began,
        points=surface.spec.point_count,
        tiles=len(done),
        first_to_last_tile=last - first,
        evaluating=sum(one.seconds for one in done),
    )
    return surface


def _kill_between_tiles(job: Job) -> float:
    """Kill the worker once some tiles are done; when, in Unix seconds."""
    wait_for(lambda: job.refresh().status.tiles_done >= SETTLED or job.status.final, "some tiles")
    one = worker()
    killed = time.time()
    one.kill()
    return killed


def _tell_of_attempts(told: Told, surface: Surface, killed: float) -> None:
    attempts = surface.run.attempts
    done = Counter(one.tile for one in attempts if one.outcome == "done")
    later = [one for one in attempts if one.started > killed]
    told.check(
        "kill -9 of the worker",
        set(done.values()) == {1} and bool(later),
        tiles_after_it=len(later),
        lost=sum(one.outcome != "done" for one in attempts),
        seconds_to_the_next_tile=min((one.started for one in later), default=killed) - killed,
        workers=len({one.worker for one in attempts}),
        cores=os.cpu_count(),
    )


def _datasets(path: Path) -> Datasets:
    """dtype, shape and bytes of every dataset outside `run/`."""
    found: Datasets = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("run/"):
            found[name] = (item.dtype.str, item.shape, item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found
