"""What the jobs of a study would take that are still to be done."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertscape.http import Client
from bertscape.spec import KINDS, StudySpec
from bertscape.study.folder import StepRecord
from bertscape.study.plan import Step, plan
from bertscape.study.running import earlier_steps, identities_of
from bertscape.values import COMPLETED, InvalidInput, JobEstimate, ProblemType

_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class StudyEstimate:
    """The estimate of each job, by its step's key in the order of the plan, and their sums."""

    jobs: Mapping[str, JobEstimate]
    done: tuple[str, ...] = ()  # keys of the steps whose results are there

    @property
    def points(self) -> int:
        """Of all jobs."""
        return sum(job.points for job in self.jobs.values())

    @property
    def flops(self) -> float | None:
        """Of all jobs."""
        return _sum(job.flops for job in self.jobs.values())

    @property
    def seconds(self) -> float | None:
        """Until the last job is done. Trainings run side by side, each on one worker."""
        trainings = [job for job in self.jobs.values() if KINDS[job.kind].trains]
        alone = [job.seconds for job in trainings]
        others = _sum(job.seconds for job in self.jobs.values() if not KINDS[job.kind].trains)
        together = _sum(alone)
        if together is None or others is None:
            return None
        workers = max((job.workers for job in trainings), default=1)
        longest = max((seconds for seconds in alone if seconds is not None), default=0.0)
        return others + max(longest, together / max(1, workers))

    @property
    def memory_per_worker(self) -> int | None:
        """Bytes that the largest job takes."""
        found = [job.memory_per_worker for job in self.jobs.values()]
        known = [one for one in found if one is not None]
        return max(known, default=0) if len(known) == len(found) else None

    @property
    def disk(self) -> float | None:
        """Bytes that all jobs leave behind."""
        return _sum(job.disk for job in self.jobs.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "jobs": {key: job.to_json() for key, job in self.jobs.items()},
            "done": list(self.done),
            "points": self.points,
            "flops": self.flops,
            "seconds": self.seconds,
            "memory_per_worker": self.memory_per_worker,
            "disk": self.disk,
        }


def estimate_study(study: StudySpec, folder: Path, client: Client) -> StudyEstimate:
    """Ask the service for the estimate of each job that is still to be done.

    Args:
        study: with absolute paths.
        folder: of its results, which may not exist.
        client: of the service that is to run it.

    Raises:
        InvalidInput: the study starts from a hub id, whose shapes nobody knows yet.
        ServiceError: the service would refuse a job.
        ServiceUnreachable: no answer came.
    """
    start = study.pretrained
    if not isinstance(start, str):
        expected = "a folder: what a hub id holds is known only once a job has read it"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "pretrained", str(start), expected)
    steps = plan(study)
    done = _done(steps, folder)
    jobs = {
        step.key: client.estimate(step.spec, stand_in=start if step.needs else None)
        for step in steps
        if step.key not in done
    }
    return StudyEstimate(jobs, done)


def wait_for_workers(
    client: Client, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return once a worker can take work, at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any(worker["device"] is not None for worker in client.workers()):
            return
        sleep(_PAUSE_S)


def _done(steps: Iterable[Step], folder: Path) -> tuple[str, ...]:
    """The steps whose results are in the folder, for what the study's files hold now."""
    earlier, identities = earlier_steps(folder), identities_of(steps)

    def is_done(key: str) -> bool:
        known = earlier.get(key, StepRecord())
        there = known.file is not None and (folder / known.file).is_file()
        return known.state == COMPLETED and known.identity == identities[key] and there

    return tuple(key for key in identities if is_done(key))


def _sum(numbers: Iterable[float | None]) -> float | None:
    """None if one of them is not known."""
    found = [*numbers]
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == len(found) else None
